import assert from "node:assert/strict";
import { migrationOptions } from "../../src/migration/options.ts";
import { ReferenceSites } from "./support/reference_sites.ts";

const BY = "operator@a";
const REASON = "site b burned down";

Deno.test("an operator gives a machine in doubt to the source; the other side stops its own and shows the conflict", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.start", async (start) => {
    await start();
    sites.sites.breakPath("cut");
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.assertRunsWhole("b");
  // From here on both sites run it, which is what the operator vouches for: the watch sees it.
  await sites.a.adjudicate(id, { owner: "a", reason: REASON, force: false, by: BY });
  const decided = await sites.sites.ended("a", id);
  assert.equal(decided.state, "failed");
  assert.match(decided.error!.message, new RegExp(BY));
  assert.equal((await sites.a.guest("g")).runState, "running");
  assertRecorded(await sites.a.guest("g"), "a");

  let stoppedBeforeRecord = false;
  sites.faults.at("b", "source.pause", async (pause) => {
    const events = sites.events("b", id);
    await pause();
    stoppedBeforeRecord = !events.includes("conflicted");
  });
  sites.sites.heal();
  const shown = await sites.sites.until("b", id, ({ state }) => state === "conflict");
  assert.equal(shown.owner, "a");
  assert.equal(shown.epoch, 3);
  assert.match(shown.phase, /site b burned down/);
  assert.ok(stoppedBeforeRecord, "the record came before the machine was stopped");
  const there = await sites.b.guest("g");
  assert.equal(there.runState, "paused", "stopped, and nothing deleted");
  assertRecorded(there, "a");
  for (const disk of there.description!.disks) await Deno.stat(disk.path!);
  sites.violations.length = 0;
  await sites.assertRunsWhole("a");

  // The operator removes what was stopped; then the machine can move again.
  await sites.b.deleteGuest("g", true);
  await sites.assertMovesNow();
});

Deno.test("a verdict that the other side could not hear reaches it after both gateways restarted", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.start", async (start) => {
    await start();
    sites.sites.breakPath("cut");
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.assertRunsWhole("b");
  await sites.a.adjudicate(id, { owner: "a", reason: REASON, force: false, by: BY });
  await sites.sites.ended("a", id);
  await sites.sites.crashSite("a");
  await sites.sites.crashSite("b");
  sites.sites.heal();
  await sites.sites.startSite("a");
  await sites.sites.startSite("b");
  await sites.sites.until("b", id, ({ state }) => state === "conflict");
  assert.equal((await sites.b.guest("g")).runState, "paused");
  sites.violations.length = 0;
  await sites.assertRunsWhole("a");
});

Deno.test("an operator gives a machine in doubt to the destination; the source keeps its own, standing still", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("a", "memory.finish", async (finish) => {
    await finish();
    sites.sites.breakPath("cut");
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.a.adjudicate(id, { owner: "b", reason: "b has it", force: false, by: BY });
  const decided = await sites.sites.ended("a", id);
  assert.equal(decided.owner, "b");
  assert.equal((await sites.a.guest("g")).runState, "postmigrate", "the last good copy is kept");
  assertRecorded(await sites.a.guest("g"), "b", "b has it");
  sites.sites.heal();
  await sites.sites.until("b", id, ({ state }) => state === "completed");
  await sites.assertRunsWhole("b");
});

Deno.test("what can be asked is not adjudicated without force, and only one of the two sites can own", async () => {
  await using sites = await ReferenceSites.start();
  const held = sites.faults.hold("b", "destination.load");
  const id = await sites.move();
  await held.reached;
  await sites.sites.until("a", id, ({ phase }) => phase.startsWith("handed over"));
  const adjudicate = (owner: string) =>
    sites.a.adjudicate(id, { owner, reason: "impatient", force: false, by: BY });
  await assert.rejects(() => adjudicate("a"), { code: "migration_state" });
  await assert.rejects(() => adjudicate("c"), { code: "request_invalid" });
  held.go();
  await sites.assertArrives(id);
  await assert.rejects(() => adjudicate("a"), { code: "migration_state" });
});

Deno.test("an offer whose epoch the destination has seen decided is refused, nothing is touched", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  await sites.register("b", "incoming");
  writeOwnership(sites, "b", 5, "b");
  const move = () =>
    sites.a.startMigration({ guest: "g", to: "b", options: migrationOptions.parse({}) });
  await assert.rejects(move, (error: { code: string; message: string; hint: string }) => {
    assert.equal(error.code, "offer_stale");
    assert.match(error.message, /epoch 2 is not above 5/);
    assert.match(error.hint, /owner recorded here is b/);
    return true;
  });
  await sites.assertRunsWhole("a");
  assert.equal((await sites.b.guest("g")).runState, "incoming");
  assert.ok(sites.b.audit({ limit: 5 }).some(({ kind }) => kind === "offer_rejected"));
});

Deno.test("a hand-over whose epoch was decided while it travelled is refused, the source resumes", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("a", "memory.finish", async (finish) => {
    await finish();
    writeOwnership(sites, "b", 4, null);
  });
  const id = await sites.move();
  await sites.assertStays(id, "offer_stale");
  assert.ok(sites.events("a", id).includes("refusedByPeer"));
  assert.ok(!sites.events("b", id).includes("owned"));
  await sites.assertMovesNow();
});

/** The verdict stands in the ledger with who and why. */
function assertRecorded(
  guest: { history: { owner: string | null; epoch: number; decidedBy: string; reason: string }[] },
  owner: string,
  reason = REASON,
): void {
  const verdict = guest.history.find(({ decidedBy }) => decidedBy === BY);
  assert.ok(verdict, JSON.stringify(guest.history));
  assert.equal(verdict.owner, owner);
  assert.equal(verdict.reason, reason);
  assert.equal(verdict.epoch, 3);
}

function writeOwnership(
  sites: ReferenceSites,
  site: "a" | "b",
  epoch: number,
  owner: string | null,
): void {
  const database = sites.sites.ledger(site);
  database.prepare(
    `INSERT INTO ownership (guest_id, epoch, owner, migration_id, decided_by, reason, decided_at)
     VALUES ('g', ?, ?, NULL, 'test', 'decided elsewhere', '2026-01-01T00:00:00.000Z')`,
  ).run(epoch, owner ?? "");
  database.close();
}
