import assert from "node:assert/strict";
import { migrationOptions } from "../../src/migration/options.ts";
import type { MigrationState } from "../../src/migration/report.ts";
import { machineDefinition, ReferenceSites, SLOW_PATH } from "./support/reference_sites.ts";

const coded = (code: string) => (error: { code: string }) => error.code === code;

Deno.test("a move refused in preflight leaves the waiting machine as it was, free at once", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  const smaller = { ...machineDefinition("incoming"), disks: [{ sizeMiB: 4 }] };
  await sites.b.putGuest("g", smaller as ReturnType<typeof machineDefinition>);
  const request = { guest: "g", to: "b", options: migrationOptions.parse({}) };
  await assert.rejects(sites.a.startMigration(request), coded("disk_sizes_differ"));
  const waiting = await sites.b.guest("g");
  assert.equal(waiting.runState, "incoming");
  assert.equal(waiting.migration, null);
  assert.equal(waiting.history.length, 0);
  await sites.b.deleteGuest("g", true);
  await sites.assertMovesNow();
});

Deno.test("a cancel is a cancel at both sites from the first word on, and spends no epoch", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move();
  const ends: MigrationState[] = [];
  sites.b.onReport(id, ({ state, machine }) => {
    if (machine.site === "a" && state !== ends.at(-1)) ends.push(state);
  });
  await sites.copying(id);
  await sites.a.cancel(id);
  assert.equal((await sites.sites.ended("a", id)).state, "cancelled");
  const there = await sites.sites.ended("b", id);
  assert.equal(there.state, "cancelled");
  assert.equal(there.error, null);
  assert.ok(!ends.includes("failed"), ends.join());
  assert.ok(!sites.events("b", id).includes("refused"), sites.events("b", id).join());
  assert.equal((await sites.b.guest("g")).history.length, 0);
  await sites.assertRunsWhole("a");
});

Deno.test("stop-and-copy copies and holds with its machine paused, and says so", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move({ strategy: "stop-and-copy", hold: true });
  const copying = await sites.sites.until("a", id, ({ wireBytes }) => wireBytes.disk > 300_000);
  assert.equal(copying.state, "copying");
  assert.equal(copying.machine.runState, "paused");
  const parked = await sites.sites.until("a", id, ({ state }) => state === "holding");
  assert.deepEqual(parked.machine, { site: "a", runState: "paused" });
  await sites.a.switchover(id);
  await sites.assertArrives(id);
});

Deno.test("a machine that was paused moves whatever its budget, and arrives paused", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  await sites.register("a", "source");
  await sites.pauseMachine("a");
  const id = await sites.move({ maxDowntimeMs: 1 });
  const report = await sites.sites.ended("a", id);
  assert.equal(report.state, "completed", JSON.stringify(report.error));
  assert.equal(report.downtimeMs, null);
  const there = await sites.sites.ended("b", id);
  for (const { machine } of [report, there]) {
    assert.deepEqual(machine, { site: "b", runState: "paused" });
  }
  assert.equal((await sites.b.guest("g")).runState, "paused");
});
