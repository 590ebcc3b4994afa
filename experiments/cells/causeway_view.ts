import type { Sample } from "../../src/experiment/row.ts";
import type { MigrationReport } from "../../src/migration/report.ts";

/** What a move through the gateways is at, by its report; undefined before there is one. */
export function causewayView(
  report: MigrationReport | undefined,
): Omit<Sample, "atMs" | "wireBytes"> {
  if (report === undefined) {
    return { phase: "preparing", remainingBytes: null, dirtyBytesPerSecond: null };
  }
  const { memory, disks } = report;
  return {
    phase: phaseOf(report),
    remainingBytes: disks.reduce<number | null>(
      (all, { remainingBytes }) =>
        all === null || remainingBytes === null ? null : all + remainingBytes,
      memory.remainingBytes,
    ),
    dirtyBytesPerSecond: memory.dirtyBytesPerSecond,
  };
}

/** Copying is told apart by what it began last; disks go on beside memory. */
function phaseOf({ state, rounds }: MigrationReport): string {
  if (state !== "copying") return state;
  return rounds.some(({ kind }) => kind === "memory") ? "memory" : "disk";
}
