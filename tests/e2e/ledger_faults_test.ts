import assert from "node:assert/strict";
import { migrationOptions } from "../../src/migration/options.ts";
import { ReferenceSites, within } from "./support/reference_sites.ts";

Deno.test("a source ledger that fails at the moment of the hand-over leaves the machine running here", async () => {
  await using sites = await ReferenceSites.start();
  sites.failLedger("a", "handoverWritten");
  const id = await sites.move();
  await sites.assertStays(id, "ledger_write_failed");
  assert.equal((await sites.a.guest("g")).epoch, 1);
});

Deno.test("a source ledger that does not take the start of a move leaves nothing claimed at the destination", async () => {
  await using sites = await ReferenceSites.start();
  const heal = sites.failLedger("a", "created");
  await assert.rejects(() => sites.move(), { code: "ledger_write_failed" });
  heal();
  await within(
    10_000,
    "the end of the claim",
    (async () => {
      while ((await sites.b.guest("g")).migration !== null) await sites.sites.clock.sleep(20);
    })(),
  );
  await sites.assertMovesNow();
});

Deno.test("a source ledger that takes nothing any more gives the machine back first and writes when it can", async () => {
  await using sites = await ReferenceSites.start();
  const heal: (() => void)[] = [];
  sites.faults.at("a", "memory.finish", async (finish) => {
    await finish();
    for (const kind of ["handoverWritten", "undoBegan", "undone"]) {
      heal.push(sites.failLedger("a", kind));
    }
  });
  const id = await sites.move();
  const unwritten = await sites.sites.until("a", id, ({ phase }) => /ledger/.test(phase));
  assert.notEqual(unwritten.state, "failed", "an end that is not in the ledger is none");
  assert.equal((await sites.a.guest("g")).runState, "running");
  for (const end of heal) end();
  await sites.assertStays(id, "ledger_write_failed");
});

Deno.test("a source ledger that does not take the pause undoes the move", async () => {
  await using sites = await ReferenceSites.start();
  sites.failLedger("a", "paused");
  await sites.assertStays(await sites.move(), "ledger_write_failed");
});

Deno.test("a destination ledger that does not take the owner record refuses, the source resumes", async () => {
  await using sites = await ReferenceSites.start();
  sites.failLedger("b", "owned");
  const id = await sites.move();
  await sites.assertStays(id, "ledger_write_failed");
  assert.ok(sites.events("b", id).includes("refused"));
});

Deno.test("a destination ledger that takes neither owner record nor refusal says nothing until it does", async () => {
  await using sites = await ReferenceSites.start();
  const heal: (() => void)[] = [];
  sites.faults.at("b", "destination.load", async (load) => {
    await load();
    for (const kind of ["owned", "refused"]) heal.push(sites.failLedger("b", kind));
  });
  const id = await sites.move();
  const refusing = /^b warn .*refusing: ledger_write_failed/;
  await sites.sites.until("b", id, () => sites.sites.log.some((line) => refusing.test(line)));
  assert.equal((await sites.a.guest("g")).runState, "postmigrate", "nothing was told yet");
  assert.equal((await sites.b.guest("g")).runState, "paused");
  for (const end of heal) end();
  await sites.assertStays(id, "ledger_write_failed");
  await sites.assertMovesNow();
});

Deno.test("a destination that cannot note that the machine started still says that it runs", async () => {
  await using sites = await ReferenceSites.start();
  const heal = sites.failLedger("b", "started");
  const id = await sites.move();
  await sites.assertArrives(id);
  heal();
  await sites.sites.until("b", id, ({ state }) => state === "completed");
});

Deno.test("a source that cannot record the destination's answer keeps its machine still until it can", async () => {
  await using sites = await ReferenceSites.start();
  const heal = sites.failLedger("a", "ranAtPeer");
  const id = await sites.move();
  await sites.sites.until("a", id, ({ phase }) => /ledger/.test(phase));
  assert.equal((await sites.a.guest("g")).runState, "postmigrate");
  heal();
  await sites.assertArrives(id);
});

Deno.test("an offer that the destination can neither take nor refuse on record ends at once", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  const heal = sites.failLedger("b", "offer_rejected", "audit");
  const options = migrationOptions.parse({});
  const offered = performance.now();
  await assert.rejects(() => sites.a.startMigration({ guest: "g", to: "b", options }), {
    code: "link_closed",
  });
  assert.ok(performance.now() - offered < 10_000, "the source waited for an answer");
  heal();
});
