import assert from "node:assert/strict";
import { migrationOptions } from "../../src/migration/options.ts";
import { ReferenceSites } from "./support/reference_sites.ts";

const coded = (code: string) => (error: { code: string }) => error.code === code;

Deno.test("a machine that has moved away is not started again where it came from", async () => {
  await using sites = await ReferenceSites.start();
  const id = await sites.move();
  await sites.assertArrives(id);

  await assert.rejects(sites.register("a", "source"), coded("guest_lives_elsewhere"));
  const back = { guest: "g", to: "b", options: migrationOptions.parse({}) };
  await assert.rejects(sites.a.startMigration(back), coded("guest_lives_elsewhere"));
  await sites.assertRunsWhole("b");

  await sites.a.deleteGuest("g", true);
  await assert.rejects(sites.register("a", "source"), coded("guest_lives_elsewhere"));
  await sites.register("a", "incoming");
  await sites.assertRunsWhole("b");
});
