import type { Clock } from "../core/clock.ts";
import { toGatewayError } from "../core/errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { migrationOptions } from "../migration/options.ts";
import {
  ENDED_STATES,
  type MigrationReport,
  type MigrationState,
  nothingForeseen,
  wishesShown,
} from "../migration/report.ts";

/** What a gateway that dies may lose of a report. */
const INTERVAL_MS = 1_000;
/** In these the machine runs: a write of the ledger delays nothing that counts. */
const KEPT_STATES: readonly MigrationState[] = ["copying", "holding"];

/** True for a report that nothing more is added to; others were kept while the move went on. */
export function isLast({ state }: MigrationReport): boolean {
  return ENDED_STATES.includes(state) || state === "conflict";
}

/**
 * A report that any version kept, as this one gives it: what reports did not have then is there as
 * unknown, or as what held without being said (contract: unknown values are null, never absent).
 *
 * @param options of the migration, from the ledger
 */
export function ofThisVersion(
  kept: MigrationReport,
  options: () => Record<string, unknown>,
): MigrationReport {
  const hasAll = (kept as Partial<MigrationReport>).adjudication !== undefined;
  if (hasAll) return kept;
  return { ...nothingForeseen(), ...wishesShown(migrationOptions.parse(options())), ...kept };
}

/**
 * Keeps a move's reports in the ledger now and then, so that its figures survive this process.
 *
 * @returns to be called with each report
 */
export function keptReports(
  ledger: Pick<Ledger, "putReport">,
  clock: Pick<Clock, "nowMs">,
  log: (level: "warn", message: string) => void,
): (report: MigrationReport) => void {
  let keptAtMs = -Infinity;
  let failed = false;
  return (report) => {
    const atMs = clock.nowMs();
    if (!KEPT_STATES.includes(report.state) || atMs - keptAtMs < INTERVAL_MS) return;
    keptAtMs = atMs;
    try {
      ledger.putReport(report.id, report);
    } catch (error) {
      // Only figures: the decisions have the ledger's own care. Said once.
      if (!failed) log("warn", `${report.id}: cannot keep: ${toGatewayError(error).message}`);
      failed = true;
    }
  };
}
