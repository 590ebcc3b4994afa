import type { Config } from "../../config/config.ts";
import { freeDiskBytes } from "../../host/disk_space.ts";
import type { LedgerCheck } from "../../ledger/check.ts";
import { formatBytes } from "../format.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

const MIB = 1024 * 1024;
/** Below this not even records of a move are sure to fit. */
const FREE_BYTES_MIN = 64 * MIB;

/** Room for what the site may keep between moves. */
export async function checkDisk(config: Config): Promise<Finding> {
  const { keptBytesMax, siteStoreBytesMax } = config.limits;
  return judgeDisk(
    config.stateDirectory,
    await freeDiskBytes(config.stateDirectory),
    siteStoreBytesMax + (config.memoryAtRest === "never" ? 0 : keptBytesMax),
  );
}

/** @param wantedBytes what the limits allow the gateway to keep there */
export function judgeDisk(path: string, freeBytes: number | null, wantedBytes: number): Finding {
  const check = "disk";
  if (freeBytes === null) {
    return warn(check, `nobody says what is free in ${path}`, "Check that it exists");
  }
  const seen = `${formatBytes(freeBytes)} free in ${path}`;
  if (freeBytes < FREE_BYTES_MIN) {
    return fail(check, seen, `Make room: moves need at least ${formatBytes(FREE_BYTES_MIN)} there`);
  }
  if (freeBytes >= wantedBytes) return ok(check, seen);
  return warn(
    check,
    `${seen}, the limits allow ${formatBytes(wantedBytes)}`,
    "Lower limits.keptBytesMax or limits.siteStoreBytesMax, or make room",
  );
}

/** @param found null where there is no ledger yet */
export function judgeLedger(path: string, found: LedgerCheck | null): Finding {
  const check = "ledger";
  if (found === null) return ok(check, `${path} is not made yet`);
  if (found.problem === null) return ok(check, `${path} is whole and can be written`);
  return fail(
    check,
    `${path}: ${found.problem}`,
    "Nothing moves without it: check disk and permissions; restore it only from a copy that is " +
      "newer than every move",
  );
}
