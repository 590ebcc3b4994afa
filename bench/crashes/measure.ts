import type { MigrationReport } from "../../src/migration/report.ts";
import type { SiteApi } from "../../src/testing/site_process.ts";
import {
  eventually,
  KillableSites,
  type WatchedQemu,
} from "../../tests/e2e/support/killable_sites.ts";
import { makeBaseDisk } from "../bytes/base_disk.ts";
import { type CrashPoint, prepare } from "./points.ts";

/** What became of a machine whose move was hit. */
export interface CrashOutcome {
  readonly point: string;
  readonly victim: string;
  /** How the move ended, by the site that has a report of it; `none` where nothing was written. */
  readonly state: string;
  readonly code: string | null;
  /** By both ledgers. */
  readonly owner: string;
  readonly running: string;
  /** Time from the kill until one machine ran and both sites had ended the move. */
  readonly settledMs: number;
  readonly verified: boolean;
  /** Of the disk, flushed and recorded at the destination when the move was hit. */
  readonly verifiedBytes: number;
  /** Disk bytes on the wire of the next attempt until it is in sync; null where none is needed. */
  readonly retryDiskBytes: number | null;
  /** Part of these beyond what had not been verified; an upper bound: new writes are in it. */
  readonly resentRatio: number | null;
}

const BASE_MIB = 16;
const SETTLE_MS = 120_000;
const ENDED = ["completed", "failed", "cancelled", "rolledBack"];

export const startSites = () =>
  KillableSites.start({
    makeDisk: (path, sizeMiB) => makeBaseDisk(path, sizeMiB, BASE_MIB),
    diskKiBPerSecond: 8,
  });

let diskCount = 0;

/** Hits one move at `point`; afterwards the machine is where the outcome says. */
export async function crash(sites: KillableSites, point: CrashPoint): Promise<CrashOutcome> {
  const diskPath = `${sites.directory}/d${++diskCount}.raw`;
  const destination = await sites.incoming(diskPath);
  const { reached, undo } = prepare(point, sites, destination);
  const before = new Set((await reports(sites, "a")).map(({ id }) => id));
  // Where the gateway dies in the middle of it, the request has no answer.
  const asked = sites.move(point.options ?? {});
  asked.catch(() => {});
  let seen: MigrationReport | null = null;
  if (point.write) await reached("");
  else await reached(await asked);
  if (point.victim !== "gateway a" && !point.write) {
    seen = await (await sites.a.api()).migration(await asked).catch(() => null);
  }
  const killedMs = performance.now();
  if (point.victim === "QEMU a") await sites.machine.process.kill();
  else if (point.victim === "QEMU b") await destination.process.kill();
  else {
    for (const site of ["a", "b"] as const) {
      if (point.victim === `gateway ${site}` || point.victim === "both gateways") {
        sites[site].kill("SIGKILL");
      }
    }
  }
  // A gateway that hangs in the write for us alone goes on only as a new process.
  if (point.write && !point.victim.includes("gateway")) sites[point.write.site].kill("SIGKILL");
  undo();
  await eventually("both sites have ended the move", () => settled(sites, before), SETTLE_MS);
  const settledMs = Math.round(performance.now() - killedMs);
  const report = (await reports(sites, "a")).find(({ id }) => !before.has(id)) ?? null;
  const running = await runningAt(sites.machine, destination);
  const owner = (await (await sites.a.api()).call<{ owner: string }>("GET", "/guests/vm")).owner;
  const at = running === "b" ? destination : sites.machine;
  const verified = running === "nowhere"
    ? false
    : await at.assertVerifies().then(() => true, () => false);
  const disk = (report ?? seen)?.disks[0];
  const verifiedBytes = Math.max(disk?.verifiedBytes ?? 0, seen?.disks[0]?.verifiedBytes ?? 0);
  const retryDiskBytes = running === "a" ? await retry(sites, destination, diskPath) : null;
  const missing = Math.max(0, (disk?.allocatedBytes ?? 0) - verifiedBytes);
  return {
    point: point.name,
    victim: point.victim,
    state: report?.state ?? "none",
    code: report?.error?.code ?? null,
    owner,
    running,
    settledMs,
    verified,
    verifiedBytes,
    retryDiskBytes,
    resentRatio: retryDiskBytes === null || verifiedBytes === 0
      ? null
      : Math.max(0, retryDiskBytes - missing) / verifiedBytes,
  };
}

/** The next attempt, onto the image that the first one has left, until it is in sync; then cancelled. */
async function retry(sites: KillableSites, left: WatchedQemu, diskPath: string): Promise<number> {
  await left.process.kill();
  const destination = await sites.incoming(diskPath);
  const id = await sites.move({ hold: true, holdMemoryMs: 0, disable: ["duplicate"] });
  const { wireBytes } = await sites.until(
    "a",
    id,
    ({ state }) => state === "holding" || ENDED.includes(state),
  );
  const api = await sites.a.api();
  await api.call("POST", `/migrations/${id}/cancel`);
  await sites.ended("a", id);
  await destination.process.kill();
  return wireBytes.disk;
}

async function settled(sites: KillableSites, before: ReadonlySet<string>): Promise<boolean> {
  try {
    for (const site of ["a", "b"] as const) {
      const open = (await reports(sites, site))
        .some(({ id, state }) => !before.has(id) && !ENDED.includes(state));
      if (open) return false;
    }
    return true;
  } catch {
    // It is being started again.
    return false;
  }
}

async function reports(sites: KillableSites, site: "a" | "b"): Promise<MigrationReport[]> {
  const api: SiteApi = await sites[site].api();
  return await api.call("GET", "/migrations");
}

async function runningAt(machine: WatchedQemu, destination: WatchedQemu): Promise<string> {
  const isRunning = (qemu: WatchedQemu) =>
    qemu.status().then((status) => status === "running", () => false);
  const [a, b] = [await isRunning(machine), await isRunning(destination)];
  if (a && b) throw new Error("The machine runs at both sites");
  return a ? "a" : b ? "b" : "nowhere";
}
