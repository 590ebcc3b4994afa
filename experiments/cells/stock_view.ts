import type { Sample } from "../../src/experiment/row.ts";
import type { QmpClient } from "../../src/qemu/qmp/client.ts";

/** The members of `query-migrate` that are read here. */
interface MigrateInfo {
  readonly status?: string;
  readonly ram?: {
    readonly remaining?: number;
    readonly "dirty-pages-rate"?: number;
    readonly "page-size"?: number;
  };
}

/** What QEMU alone is at, by its own monitor. */
export async function stockView(source: QmpClient): Promise<Omit<Sample, "atMs" | "wireBytes">> {
  const info = await source.execute("query-migrate") as MigrateInfo;
  const jobs = await source.execute("query-block-jobs") as { len: number; offset: number }[];
  const diskBytes = jobs.reduce((sum, { len, offset }) => sum + Math.max(0, len - offset), 0);
  const { remaining, "dirty-pages-rate": dirtyPages, "page-size": pageBytes } = info.ram ?? {};
  return {
    phase: phaseOf(info.status),
    remainingBytes: remaining === undefined ? null : remaining + diskBytes,
    dirtyBytesPerSecond: dirtyPages === undefined || pageBytes === undefined
      ? null
      : dirtyPages * pageBytes,
  };
}

function phaseOf(status: string | undefined): string {
  switch (status) {
    case undefined:
    case "none":
      return "disk";
    case "setup":
    case "active":
      return "memory";
    default:
      // Its gate before the switch, device state, and the end.
      return "switching";
  }
}
