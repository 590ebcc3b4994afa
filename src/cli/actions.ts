import type { MigrationState } from "../migration/report.ts";

/** What an operator can tell a migration to do, and the states that are what was asked for. */
export const ACTIONS = {
  cancel: ["cancelled"],
  switchover: ["completed"],
  hold: ["holding"],
  rollback: ["cancelled", "rolledBack"],
} as const satisfies Record<string, readonly MigrationState[]>;
