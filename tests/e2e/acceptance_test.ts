import assert from "node:assert/strict";
import { migrationOptions } from "../../src/migration/options.ts";
import type { PeerAcceptance } from "../../src/security/accept_rules.ts";
import { ALLOW_ALL } from "../../src/security/allow_rules.ts";
import { ReferenceSites, SLOW_PATH } from "./support/reference_sites.ts";

const MIB = 1024 * 1024;
const coded = (code: string) => (error: { code: string }) => error.code === code;

/** What b takes from a, from now on. */
function accept(sites: ReferenceSites, rules: Partial<PeerAcceptance>): void {
  const open = { guests: ["*"], memoryBytesMax: null, diskBytesMax: null, movesMax: null };
  sites.sites.rules.set("b", {
    allow: ALLOW_ALL,
    accept: { peers: { a: { ...open, ...rules } } },
  });
}

function start(sites: ReferenceSites, guest: string) {
  const options = migrationOptions.parse({ maxDowntimeMs: 900 });
  return sites.a.startMigration({ guest, to: "b", options });
}

Deno.test("a site takes from a peer what its configuration says, and tells and audits what it does not", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  await sites.register("b", "incoming");
  const cases: [Partial<PeerAcceptance>, string, RegExp][] = [
    [{ guests: ["web-*"] }, "guest_not_accepted", /b does not take it from a/],
    [{ movesMax: 0 }, "quota_exceeded", /1 machines that arrive at once at b, the quota is 0/],
    [{ memoryBytesMax: 16 * MIB - 1 }, "quota_exceeded", /16777216 bytes of memory/],
    [{ diskBytesMax: 8 * MIB - 1 }, "quota_exceeded", /8388608 bytes of disks/],
  ];
  for (const [rules, code, message] of cases) {
    accept(sites, rules);
    await assert.rejects(start(sites, "g"), (error: { code: string; message: string }) => {
      assert.equal(error.code, code);
      assert.match(error.message, message);
      return true;
    });
    const [{ kind, body }] = sites.b.audit({ limit: 1 });
    assert.deepEqual([kind, body.code, body.guest, body.from], ["offer_rejected", code, "g", "a"]);
    assert.equal((await sites.b.guest("g")).runState, "incoming", "nothing was touched");
    assert.deepEqual(sites.b.migrations(), []);
  }
  accept(sites, { memoryBytesMax: 16 * MIB, diskBytesMax: 8 * MIB, movesMax: 1 });
  await sites.assertArrives((await start(sites, "g")).id);
});

Deno.test("what arrives and what lives here counts, what has left or was given up does not", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  for (const guest of ["g", "h"]) {
    await sites.register("a", "source", guest);
    await sites.register("b", "incoming", guest);
  }
  accept(sites, { movesMax: 1 });
  const first = await start(sites, "g");
  await assert.rejects(start(sites, "h"), coded("quota_exceeded"));
  await sites.a.cancel(first.id);
  await sites.sites.ended("b", first.id);
  // A cancelled move ends the machine that waited; a new one waits for the next.
  await sites.register("b", "incoming", "g");

  accept(sites, { memoryBytesMax: 16 * MIB });
  const second = await start(sites, "g");
  await sites.assertArrives(second.id);
  await assert.rejects(start(sites, "h"), coded("quota_exceeded"));
  await sites.sites.stopSite("b");
  await sites.sites.startSite("b");
  await assert.rejects(start(sites, "h"), coded("quota_exceeded"), "nor after a restart");
  await sites.b.deleteGuest("g", true);
  const third = await start(sites, "h");
  await sites.assertArrives(third.id, "h");
});
