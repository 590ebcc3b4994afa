import assert from "node:assert/strict";
import { migrationOptions } from "../../src/migration/options.ts";
import type { MigrationReport } from "../../src/migration/report.ts";
import {
  machineDefinition,
  ReferenceSites,
  type Site,
  SLOW_PATH,
  within,
} from "./support/reference_sites.ts";

/** The machine has moved from a to b and has run there for long enough to have written. */
async function movedAway(sites: ReferenceSites): Promise<MigrationReport> {
  const id = await sites.move();
  await sites.assertArrives(id);
  await sites.sites.until("b", id, ({ state }) => state === "completed");
  const written = await diskBlocks(sites, "b");
  await within(
    10_000,
    "a write at b",
    (async () => {
      while (await diskBlocks(sites, "b") === written) await sites.sites.clock.sleep(20);
    })(),
  );
  return sites.a.migration(id);
}

/** Something that changes with what the machine writes: its own account of its disks. */
async function diskBlocks(sites: ReferenceSites, site: Site): Promise<string> {
  return JSON.stringify(await sites[site].verifyGuest("g"));
}

/** Both sites say that the machine is home; it runs there, whole by its own account. */
async function assertHome(sites: ReferenceSites, id: string): Promise<MigrationReport> {
  for (const site of ["a", "b"] as const) {
    const report = await sites.sites.until(site, id, ({ state }) => state === "rolledBack");
    assert.equal(report.owner, "a");
    assert.equal(report.machine.site, "a");
    assert.equal(report.rollback?.state, "completed");
  }
  await sites.assertRunsWhole("a");
  assert.equal((await sites.a.guest("g")).role, "source");
  return sites.a.migration(sites.a.migration(id).rollback!.migration);
}

for (const site of ["a", "b"] as const) {
  Deno.test(`a rollback asked at ${site} brings back what the machine is now, by what changed`, async () => {
    await using sites = await ReferenceSites.start();
    const there = await movedAway(sites);
    const asked = await sites[site].rollback(there.id);
    assert.notEqual(asked.rollback, null);
    const back = await assertHome(sites, there.id);
    assert.equal(back.rollbackOf, there.id);
    assert.equal(back.epoch, there.epoch + 1);
    const disk = ({ rounds }: MigrationReport) => rounds.find(({ kind }) => kind === "disk")!;
    assert.ok(disk(back).sentBytes < 0.5 * disk(there).sentBytes, "the disk came back whole");
    assert.ok(back.savedBytes.warm > 0);
    const why = { code: "rollback_not_possible" };
    await assert.rejects(() => sites.a.rollback(there.id), why);
    await assert.rejects(() => sites.b.rollback(there.id), why);
  });
}

Deno.test("a rollback asked twice is one, and an outage in the middle of it only delays it", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const { id } = await movedAway(sites);
  const first = await sites.b.rollback(id);
  sites.sites.breakPath("cut");
  const second = await sites.b.rollback(id);
  assert.equal(second.rollback?.migration, first.rollback?.migration);
  await sites.sites.clock.sleep(1_500);
  await sites.assertRunsWhole("b");
  sites.sites.heal();
  await assertHome(sites, id);
});

Deno.test("a rollback that the machine's site cannot hear of fails, and nothing has begun", async () => {
  await using sites = await ReferenceSites.start();
  const { id } = await movedAway(sites);
  await sites.sites.crashSite("b");
  await assert.rejects(() => sites.a.rollback(id), { code: "peer_unreachable" });
  await sites.sites.startSite("b");
  await sites.assertRunsWhole("b");
  assert.equal(sites.a.migration(id).state, "completed");
});

for (const crashed of ["a", "b"] as const) {
  Deno.test(`the gateway of ${crashed} dies while a rollback copies: the machine runs on at b, and comes back at the second try`, async () => {
    await using sites = await ReferenceSites.start(SLOW_PATH);
    const { id } = await movedAway(sites);
    const reached = sites.faults.at("b", "source.startMemory", async (call) => {
      await sites.sites.crashSite(crashed);
      return await call();
    });
    await sites.b.rollback(id);
    await within(20_000, "the crash", reached);
    await sites.sites.startSite(crashed);
    const failed = await sites.sites.until("b", id, ({ rollback }) => rollback?.state === "failed");
    assert.equal(failed.state, "completed");
    assert.equal(failed.owner, "b");
    assert.notEqual(failed.rollback!.error, null);
    await sites.assertRunsWhole("b");
    await sites.a.rollback(id);
    await assertHome(sites, id);
  });

  Deno.test(`the gateway of ${crashed} dies at the switch of a rollback: one machine runs when it is back`, async () => {
    await using sites = await ReferenceSites.start();
    const { id } = await movedAway(sites);
    const at = crashed === "a" ? "destination.start" : "memory.finish";
    const crash = Promise.withResolvers<void>();
    void sites.faults.at(crashed, at, async (call) => {
      const done = await call();
      sites.sites.crashSite(crashed).then(crash.resolve, crash.reject);
      return done;
    });
    await sites.b.rollback(id);
    await within(20_000, "the crash", crash.promise);
    await sites.sites.startSite(crashed);
    if (crashed === "a") await assertHome(sites, id);
    else {
      // No hand-over was written: the machine runs on where it was.
      await sites.sites.until("b", id, ({ rollback }) => rollback?.state === "failed");
      await sites.assertRunsWhole("b");
      await sites.b.rollback(id);
      await assertHome(sites, id);
    }
  });
}

Deno.test("without a way back a rollback says why, at either site", async () => {
  await using sites = await ReferenceSites.start();
  const { id } = await movedAway(sites);
  await sites.a.deleteGuest("g", true);
  for (const site of ["a", "b"] as const) {
    await assert.rejects(
      () => sites[site].rollback(id),
      { code: "rollback_not_possible", message: /no machine g is registered at a/ },
    );
  }
  assert.equal((await sites.b.guest("g")).runState, "running");
  // Registered again, it has one.
  await sites.a.putGuest("g", machineDefinition("incoming"));
  await sites.a.rollback(id);
  await assertHome(sites, id);
});

Deno.test("a machine that has been elsewhere since is not rolled back, though it is there again", async () => {
  await using sites = await ReferenceSites.start();
  const { id } = await movedAway(sites);
  await sites.b.rollback(id);
  await assertHome(sites, id);
  await sites.register("b", "incoming");
  const options = migrationOptions.parse({ maxDowntimeMs: 900 });
  const { id: again } = await sites.a.startMigration({ guest: "g", to: "b", options });
  await sites.assertArrives(again);
  await sites.sites.until("b", again, ({ state }) => state === "completed");
  for (const site of ["a", "b"] as const) {
    assert.equal(sites[site].migration(id).state, "rolledBack");
    await assert.rejects(() => sites[site].rollback(id), { code: "rollback_not_possible" });
  }
  // The old source is never resumed: what comes back is what ran at b.
  await sites.a.rollback(again);
  await assertHome(sites, again);
});
