import assert from "node:assert/strict";
import { DEFAULT_PAGE_LIMITS } from "../../src/image/page_memory.ts";
import { ReferenceSites } from "./support/reference_sites.ts";
import { overwrite, spillsOf } from "./support/spills.ts";

/** So little that the file holds most of the machine's pages, those that it writes too. */
const PAGES = { ...DEFAULT_PAGE_LIMITS, pageImageBytesMax: 512 * 1024 };

Deno.test("pages that the destination keeps wrongly are sent again, and the machine arrives whole", async () => {
  await using sites = await ReferenceSites.start(undefined, PAGES);
  const id = await sites.move({ hold: true });
  await sites.sites.until("a", id, ({ state }) => state === "holding");
  const spills = spillsOf(`${sites.sites.directory}/b/`);
  assert.equal(spills.length, 1);
  overwrite(spills[0]);
  const repaired = await sites.sites.until("a", id, ({ repairs }) => repairs > 0);
  assert.ok(repaired.decisions.some(({ action }) => action === "repair"));
  assert.equal((await sites.a.guest("g")).runState, "running");
  sites.a.switchover(id);
  await sites.assertArrives(id);
});
