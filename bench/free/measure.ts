import type { MigrationOptions } from "../../src/migration/options.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import type { TwoSites } from "../../src/testing/two_sites.ts";

const MOVE_MS_MAX = 120_000;
/** Free memory is what a bench of this is about: no switch shall be undone for its length. */
const DOWNTIME_BUDGET_MS = 5_000;

/** One move of one machine. */
export interface FreeMeasurement {
  readonly memoryWireBytes: number;
  readonly freeBytes: number;
  readonly zeroBytes: number;
  readonly totalMs: number;
}

/** One kind of machine; `measure` moves a fresh one of this seed. */
export interface FreeCase {
  readonly title: string;
  readonly measure: (seed: number) => Promise<FreeMeasurement>;
}

/** Moves `guest` from a to b; rejects with the report where it does not arrive. */
export async function measureMove(
  sites: TwoSites,
  guest: string,
  options: Partial<MigrationOptions> = {},
): Promise<FreeMeasurement> {
  const { id } = await sites.a.startMigration({
    guest,
    to: "b",
    options: migrationOptions.parse({ maxDowntimeMs: DOWNTIME_BUDGET_MS, ...options }),
  });
  const report = await sites.until("a", id, ({ endedAt }) => endedAt !== null, MOVE_MS_MAX);
  if (report.state !== "completed") {
    throw new Error(`The move ended ${report.state}: ${JSON.stringify(report.error)}`);
  }
  const { wireBytes, savedBytes, totalMs } = report;
  return {
    memoryWireBytes: wireBytes.memory,
    freeBytes: savedBytes.free,
    zeroBytes: savedBytes.zero,
    totalMs: totalMs!,
  };
}
