import assert from "node:assert/strict";
import { ReferenceSites, SLOW_PATH } from "./support/reference_sites.ts";

const MIB = 1024 * 1024;

Deno.test("a machine that was seeded stays, and its move sends only what differs by then", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move({ strategy: "seed" });
  const seeded = await sites.sites.ended("a", id);
  assert.equal(seeded.state, "seeded", JSON.stringify([seeded.error, sites.sites.log]));
  assert.equal(seeded.owner, "a");
  assert.deepEqual(seeded.machine, { site: "a", runState: "running" });
  assert.equal(seeded.decisions.at(-1)?.action, "seeded");
  assert.equal((await sites.sites.ended("b", id)).state, "seeded");
  await sites.assertRunsWhole("a");

  const moved = await sites.move();
  await sites.assertArrives(moved);
  const { wireBytes, savedBytes } = sites.a.migration(moved);
  assert.ok(savedBytes.warm > 5 * MIB, `${savedBytes.warm}`);
  assert.ok(
    wireBytes.total < seeded.wireBytes.total / 2,
    `${wireBytes.total} after ${seeded.wireBytes.total}`,
  );
});

Deno.test("a seeding run is cancelled like a move", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move({ strategy: "seed" });
  await sites.sites.until("a", id, ({ wireBytes }) => wireBytes.total > MIB);
  await sites.a.cancel(id);
  assert.equal((await sites.sites.ended("a", id)).state, "cancelled");
  await sites.assertRunsWhole("a");
});
