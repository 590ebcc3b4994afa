import { GatewayError } from "../core/errors.ts";
import type { MigrationReport } from "../migration/report.ts";

/** Why a migration cannot be rolled back, as an error for its operator. */
export function noWayBack(report: MigrationReport): GatewayError {
  const { id, guest, from, to } = report;
  const [reason, hint] = reasonOf(report);
  return new GatewayError("rollback_not_possible", `Cannot roll ${id} back: ${reason}`, { hint });

  function reasonOf({ state }: MigrationReport): [reason: string, hint: string] {
    switch (state) {
      case "completed":
        return [
          `${guest} has run at ${to} since, and this version cannot fetch what it wrote there`,
          `Register ${guest} with role "incoming" at ${from} and start a move of it at ${to}`,
        ];
      case "failed":
      case "cancelled":
      case "rolledBack":
      case "seeded":
        return [`it is ${state}, ${guest} lives at ${from} already`, "Nothing is left to undo"];
      case "conflict":
        return [
          `${from} and ${to} disagree on who runs ${guest}`,
          "Adjudicate: the owner named there keeps the machine",
        ];
      default:
        return [
          `${guest} is handed over, ${to} may run it by now`,
          `Await the answer of ${to}; while it is out of reach, adjudicate`,
        ];
    }
  }
}
