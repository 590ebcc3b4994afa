import { ERRORS } from "../core/error_codes.ts";
import type { ErrorEntry } from "../core/errors.ts";
import type { MigrationState } from "../migration/report.ts";

/** What the exit code of a command says (contract, Commands). */
export const EXIT = {
  done: 0,
  /** The machine is at the source. */
  failed: 1,
  usage: 2,
  cancelled: 3,
  /** `inDoubt` or `conflict`. */
  undecided: 4,
  unreachable: 5,
  refused: 6,
} as const;

const USAGE_CODES = [
  "address_invalid",
  "config_invalid",
  "experiment_differs",
  "profile_invalid",
  "profile_not_found",
  "request_invalid",
  "scenario_invalid",
  "strategy_not_available",
];

/** Exit code of a command that failed with this error; codes of a newer gateway are failures. */
export function exitCodeOfError(code: string): number {
  if (code === "gateway_unreachable") return EXIT.unreachable;
  if (USAGE_CODES.includes(code)) return EXIT.usage;
  const entry = (ERRORS as Record<string, ErrorEntry | undefined>)[code];
  return entry?.preflight ? EXIT.refused : EXIT.failed;
}

const OF_STATE: Partial<Record<MigrationState, number>> = {
  failed: EXIT.failed,
  cancelled: EXIT.cancelled,
  rolledBack: EXIT.cancelled,
  inDoubt: EXIT.undecided,
  conflict: EXIT.undecided,
};

/**
 * Exit code of a command that followed a migration to this state; one that goes on is no failure.
 *
 * @param wanted states that are what the command was for, such as `cancelled` of `cancel`
 */
export function exitCodeOfState(
  state: MigrationState,
  wanted: readonly MigrationState[] = [],
): number {
  return wanted.includes(state) ? EXIT.done : OF_STATE[state] ?? EXIT.done;
}
