import { type ReferenceWorkload, referenceWorkload } from "../../src/guest/definition.ts";
import type { Guest } from "../../src/guest/guest.ts";
import {
  attachReferenceGuest,
  machineDirectory,
  type ReferenceGuest,
} from "../../src/guest/reference/reference_guest.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { type GuestPair, guestSuite } from "../../src/testing/guest_suite.ts";

const clock = systemClock();
const MEMORY_MIB = 48;
const DISKS = [{ sizeMiB: 24 }, { sizeMiB: 8 }];
const WORKLOAD: ReferenceWorkload = referenceWorkload.parse({
  seed: 7,
  hotMiB: 4,
  memoryBytesPerSecond: 8_000_000,
  diskBytesPerSecond: 2_000_000,
  freeMiB: 8,
});

guestSuite("reference guest", makePair);

async function makePair(): Promise<GuestPair> {
  const directory = await Deno.makeTempDir({ prefix: "causeway-" });
  const attach = (side: "source" | "incoming") =>
    attachReferenceGuest({
      id: "guest",
      definition: {
        kind: "reference",
        role: side,
        memoryMiB: MEMORY_MIB,
        disks: DISKS,
        // The state that arrives brings its own workload.
        workload: side === "source" ? WORKLOAD : referenceWorkload.parse({ seed: 99 }),
      },
      stateDirectory: `${directory}/${side}`,
      clock,
    });
  const scratchDirectory = `${directory}/scratch`;
  await Deno.mkdir(scratchDirectory);
  const pair: GuestPair = {
    source: await attach("source"),
    destination: await attach("incoming"),
    scratchDirectory,
    async verify(guest) {
      const report = await (guest as ReferenceGuest).verify();
      return { ok: report.ok, detail: JSON.stringify(report) };
    },
    untilItWorked: (guest) => untilTicks(guest as ReferenceGuest, 10),
    async firstDiskDifference() {
      for (const number of DISKS.keys()) {
        const [here, there] = await Promise.all(
          ["source", "incoming"].map((side) =>
            Deno.readFile(`${machineDirectory(`${directory}/${side}`, "guest")}/disk${number}.raw`)
          ),
        );
        const at = here.findIndex((byte, index) => byte !== there[index]);
        if (at >= 0 || here.length !== there.length) return `disk${number} differs at ${at}`;
      }
      return null;
    },
    async reattachSource() {
      await pair.source.detach();
      return await attach("source");
    },
    renewDestination: () => attach("incoming"),
    async kill(guest: Guest) {
      const side = guest === pair.source ? "source" : "incoming";
      const file = `${machineDirectory(`${directory}/${side}`, "guest")}/machine.pid`;
      Deno.kill(Number(await Deno.readTextFile(file)), "SIGKILL");
    },
    async dispose() {
      await pair.source.end();
      await pair.destination.end();
      await Deno.remove(directory, { recursive: true });
    },
  };
  return pair;
}

async function untilTicks(guest: ReferenceGuest, count: number): Promise<void> {
  const before = await guest.ticks() ?? 0;
  const untilMs = clock.nowMs() + 10_000;
  while ((await guest.ticks() ?? 0) < before + count) {
    if (clock.nowMs() > untilMs) throw new Error("the machine does no work");
    await clock.sleep(10);
  }
}
