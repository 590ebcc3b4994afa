import type { Guest } from "../../src/guest/guest.ts";
import { type GuestPair, guestSuite } from "../../src/testing/guest_suite.ts";
import { type QemuProcess, startQemu } from "../../src/testing/qemu_process.ts";
import { missingRequirements, requires } from "../../src/testing/requirements.ts";
import { attach, clock, createTwoDisks, sameContent } from "./qemu_driver_support.ts";

const NEEDS = ["qemu", "qemuUtils", "guestImage", "cpio"] as const;
const MEMORY_MIB = 144;
const WORKLOAD = { memoryMiB: 8, diskKiBPerSecond: 1000 };
const WORK_TIMEOUT_MS = 20_000;

await requires(...NEEDS);
const missing = await missingRequirements(...NEEDS);
guestSuite("QEMU", makePair, missing.length > 0 ? { skip: missing.join(", ") } : {});

async function makePair(): Promise<GuestPair> {
  const directory = await Deno.makeTempDir({ prefix: "cw-" });
  const disks = {
    s: await createTwoDisks(directory, "s"),
    d: await createTwoDisks(directory, "d"),
  };
  const start = (name: string, side: "s" | "d") =>
    startQemu({
      directory,
      name,
      memoryMiB: MEMORY_MIB,
      workload: WORKLOAD,
      disks: disks[side],
      incoming: side === "d",
    });
  const processes = new Map<Guest, QemuProcess>();
  const adopt = async (process: QemuProcess, role: "source" | "incoming") => {
    const guest = await attach(process.qmpPath, role);
    processes.set(guest, process);
    return guest;
  };
  const processOf = (guest: Guest) => processes.get(guest)!;
  const source = await start("s", "s");
  const destination = await start("d", "d");
  await source.waitReady();
  const pair: GuestPair = {
    source: await adopt(source, "source"),
    destination: await adopt(destination, "incoming"),
    scratchDirectory: directory,
    async verify(guest) {
      const detail = await processOf(guest).ask("verify");
      return { ok: detail.startsWith("verify ok"), detail };
    },
    async untilItWorked(guest) {
      const work = async () => workOf(await processOf(guest).ask("status"));
      const before = await work();
      const endMs = clock.nowMs() + WORK_TIMEOUT_MS;
      while (await work() <= before) {
        if (clock.nowMs() > endMs) throw new Error("the machine does no work");
        await clock.sleep(20);
      }
    },
    async firstDiskDifference() {
      for (const [index, { path, format }] of disks.s.entries()) {
        if (!await sameContent(path, disks.d[index].path, format)) return `${path} differs`;
      }
      return null;
    },
    async reattachSource() {
      await pair.source.detach();
      return await adopt(processOf(pair.source), "source");
    },
    async renewDestination() {
      await processOf(pair.destination).kill();
      return await adopt(await start("d2", "d"), "incoming");
    },
    kill: (guest) => processOf(guest).kill(),
    async dispose() {
      for (const guest of [pair.source, pair.destination]) {
        await guest.end();
        await processOf(guest).kill();
      }
      await Deno.remove(directory, { recursive: true });
    },
  };
  return pair;
}

/** Both counters of `status`: what the guest has written to memory and to its disks. */
function workOf(status: string): number {
  const counts = /memory=(\d+) disk=(\d+)/.exec(status);
  if (!counts) throw new Error(`no counters in "${status}"`);
  return Number(counts[1]) + Number(counts[2]);
}
