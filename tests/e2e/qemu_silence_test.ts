import assert from "node:assert/strict";
import type { GuestDefinition } from "../../src/guest/definition.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { attachQemu } from "../../src/qemu/qemu_guest.ts";
import { GuestFaults, interceptGuest } from "../../src/testing/guest_faults.ts";
import { createDisk, startQemu } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import { TwoSites } from "../../src/testing/two_sites.ts";

const clock = systemClock();
const needs = await requires("qemu", "guestImage", "cpio");
const STEP_MS = 60_000;

Deno.test(
  "a real machine runs on when the link falls silent with its state given away, and moves afterwards",
  needs,
  async () => {
    const faults = new GuestFaults();
    await using sites = await TwoSites.start((site, stateDirectory) => async (request) => {
      const definition = request.definition as Extract<GuestDefinition, { kind: "qemu" }>;
      const { id, launch: mayStart } = request;
      const guest = await attachQemu({ id, definition, stateDirectory, clock, mayStart });
      return interceptGuest(guest, faults.around(site));
    });
    const machine = async (site: "a" | "b") => {
      const directory = `${sites.directory}/${site}`;
      const path = `${directory}/root.raw`;
      await createDisk(path, "raw", 32);
      return await startQemu({
        directory,
        memoryMiB: 160,
        disks: [{ id: "root", path, format: "raw" }],
        workload: { memoryMiB: 8, memoryKiBPerSecond: 512, diskKiBPerSecond: 128 },
        incoming: site === "b",
      });
    };
    await using source = await machine("a");
    await using destination = await machine("b");
    await source.waitReady();
    const register = (site: "a" | "b", role: "source" | "incoming", qmp: string) =>
      sites[site].putGuest("vm", { kind: "qemu", role, qmp });
    await register("a", "source", source.qmpPath);
    await register("b", "incoming", destination.qmpPath);

    // The first switch: QEMU is `postmigrate` when the silence is noticed.
    faults.at("a", "memory.finish", async (finish) => {
      sites.breakPath("silent");
      await finish();
      await new Promise(() => {});
    });
    const { id } = await sites.a.startMigration({
      guest: "vm",
      to: "b",
      options: migrationOptions.parse({ maxDowntimeMs: 1_500 }),
    });
    await runsAgainWhileSilent();
    // The second one: nobody reads the device state, so QEMU is still `device`.
    faults.at("a", "memory.finish", async (finish) => {
      sites.breakPath("silent");
      const reading = faults.hold("a", "memory.items");
      void faults.at("a", "memory.cancel", async (cancel) => {
        await cancel();
        reading.go();
      });
      await finish();
    });
    sites.heal();
    await runsAgainWhileSilent();
    sites.heal();

    const report = await sites.until("a", id, ({ endedAt }) => endedAt !== null, STEP_MS);
    assert.equal(report.state, "completed", JSON.stringify(report.error));
    const undone = report.decisions.filter(({ action }) => action === "undo the switch");
    assert.ok(undone.length >= 2, JSON.stringify(report.decisions));
    await source.exited;
    const answer = await destination.ask("verify", STEP_MS);
    assert.match(answer, /^verify ok /, answer);

    async function runsAgainWhileSilent(): Promise<void> {
      await sites.until("a", id, (now) => now.machine.runState === "paused", STEP_MS);
      await sites.until("a", id, (now) => now.machine.runState === "running", STEP_MS);
      assert.equal((await sites.a.guest("vm")).runState, "running");
      const here = await source.ask("verify", STEP_MS);
      assert.match(here, /^verify ok /, here);
    }
  },
);
