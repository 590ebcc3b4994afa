import assert from "node:assert/strict";
import { ReferenceSites, SLOW_PATH } from "./support/reference_sites.ts";

const refused = (why: RegExp) => (error: { code: string; message: string }) =>
  error.code === "migration_state" && why.test(error.message);
const exists = async (path: string) => await Deno.stat(path).then(() => true, () => false);

Deno.test("partial copies of a cancelled move are told, and deleted on demand alone", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move();
  await sites.copying(id);
  await sites.a.cancel(id);
  await sites.sites.ended("a", id);
  const { leftovers } = await sites.sites.ended("b", id);
  assert.equal(leftovers.length, 1);
  assert.ok(await exists(leftovers[0]));
  assert.deepEqual(sites.a.migration(id).leftovers, []);
  await assert.rejects(sites.a.deleteLeftovers(id), refused(/g lives at a/));

  await sites.sites.crashSite("b");
  await sites.sites.startSite("b");
  assert.deepEqual(sites.b.migration(id).leftovers, leftovers);
  assert.deepEqual(await sites.b.deleteLeftovers(id), { deleted: leftovers });
  assert.ok(!await exists(leftovers[0]));
  assert.deepEqual(sites.b.migration(id).leftovers, []);
});

Deno.test("leftovers are kept while a machine may need them, even one that is off", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const cancelled = await sites.move();
  await sites.copying(cancelled);
  await sites.a.cancel(cancelled);
  const [image] = (await sites.sites.ended("b", cancelled)).leftovers;

  await sites.register("b", "incoming");
  await assert.rejects(sites.b.deleteLeftovers(cancelled), refused(/is incoming here/));
  const again = await sites.move();
  await sites.copying(again);
  await assert.rejects(sites.b.deleteLeftovers(cancelled), refused(/is moving again/));
  await sites.assertArrives(again);
  await sites.killMachine("b");
  await assert.rejects(sites.b.deleteLeftovers(cancelled), refused(/lives at b again/));
  assert.ok(await exists(image));
});
