import assert from "node:assert/strict";
import { GatewayError } from "../../src/core/errors.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import type { MigrationState } from "../../src/migration/report.ts";
import { eventually } from "./support/killable_sites.ts";
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

Deno.test("a move refused in preflight is listed at neither site, and audited at both", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  await sites.register("b", "incoming");
  const told: string[] = [];
  for (const site of [sites.a, sites.b]) site.onReport(null, ({ state }) => told.push(state));
  const refusing = Promise.withResolvers<never>();
  const reached = sites.faults.at("a", "source.preflight", () => refusing.promise);
  const request = { guest: "g", to: "b", options: migrationOptions.parse({}) };
  const refused = assert.rejects(sites.a.startMigration(request), coded("disk_io"));
  await reached;
  // Between the destination's answer and the source's there is no move either.
  assert.deepEqual(sites.b.migrations(), []);
  refusing.reject(new GatewayError("disk_io", "Cannot read it", { hint: "Look at the disk" }));
  await refused;
  await eventually("the end at b", () => withdrawn(sites).length === 1);
  const [{ body }] = withdrawn(sites);
  assert.equal(body.guest, "g");
  assert.equal(body.from, "a");
  assert.equal(sites.a.audit({ limit: 1 })[0].kind, "preflight_refused");
  for (const site of [sites.a, sites.b]) {
    assert.deepEqual(site.migrations(), []);
    assert.throws(() => site.migration(body.migration as string), coded("migration_unknown"));
  }
  assert.deepEqual(told, []);
  await sites.sites.stopSite("b");
  await sites.sites.startSite("b");
  assert.deepEqual(sites.b.migrations(), [], "nor after a restart");
  await sites.assertMovesNow();
  assert.equal(sites.b.migrations().length, 1);
});

Deno.test("a move that began is served by its id at the destination at once", async () => {
  await using sites = await ReferenceSites.start({ delayMs: 300, bytesPerSecond: 6_000_000 });
  const id = await sites.move();
  // The message that begins it is 300 ms away.
  assert.equal(sites.b.migration(id).state, "preparing");
  await sites.a.cancel(id);
  assert.equal((await sites.sites.ended("b", id)).state, "cancelled");
  assert.equal((await sites.sites.ended("a", id)).state, "cancelled");
  assert.deepEqual(sites.b.migrations().map((report) => report.id), [id]);
});

function withdrawn(sites: ReferenceSites) {
  return sites.b.audit({ limit: 50 }).filter(({ kind }) => kind === "offer_withdrawn");
}

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
