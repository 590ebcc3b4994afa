import assert from "node:assert/strict";
import { DEFAULT_PAGE_LIMITS } from "../../src/image/page_memory.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import type { MigrationReport } from "../../src/migration/report.ts";
import { ReferenceSites, SLOW_PATH, within } from "./support/reference_sites.ts";
import { overwrite, spillsOf } from "./support/spills.ts";

const MIB = 1024 * 1024;

/** Lets all memory cross, cancels then, and waits until both sites are done. */
async function cancelledInSync(
  sites: ReferenceSites,
  options: Record<string, unknown> = {},
): Promise<MigrationReport> {
  const id = await sites.move({ hold: true, ...options });
  await sites.sites.until("a", id, ({ state }) => state === "holding");
  await sites.a.cancel(id);
  const report = await sites.sites.ended("a", id);
  assert.equal(report.state, "cancelled");
  await sites.sites.ended("b", id);
  return report;
}

async function arrived(sites: ReferenceSites, options = {}): Promise<MigrationReport> {
  const id = await sites.move(options);
  await sites.assertArrives(id);
  return sites.a.migration(id);
}

/** Whatever is warm afterwards is memory. */
async function cancelledWithoutDisk(sites: ReferenceSites): Promise<void> {
  await cancelledInSync(sites);
  await sites.emptyDisk("b");
}

Deno.test("memory that arrived before a cancel does not cross again", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const first = await cancelledInSync(sites);
  const second = await arrived(sites);
  assert.equal(first.savedBytes.warm, 0);
  // Up to 2 MiB of the machine's 16 are written all the time, about half of the rest is zero.
  assert.ok(second.savedBytes.warm > 5 * MIB, `${second.savedBytes.warm}`);
  assert.ok(
    second.wireBytes.memory < first.wireBytes.memory / 2,
    `${second.wireBytes.memory} after ${first.wireBytes.memory}`,
  );
});

Deno.test("a cancel in the middle of memory leaves what had arrived until then", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move();
  await sites.sites.until("a", id, ({ wireBytes }) => wireBytes.memory > 3 * MIB);
  await sites.a.cancel(id);
  await sites.sites.ended("a", id);
  await sites.sites.ended("b", id);
  const { savedBytes, wireBytes } = await arrived(sites);
  assert.ok(savedBytes.warm > 3 * MIB, `${savedBytes.warm}`);
  assert.ok(wireBytes.memory < 5 * MIB, `${wireBytes.memory}`);
});

Deno.test("an attempt that fails leaves it as well, and one that ended before memory takes nothing away", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move({ hold: true });
  await sites.sites.until("a", id, ({ state }) => state === "holding");
  await sites.killMachine("b");
  await sites.assertStays(id, "guest_gone");
  // The content store of the destination has all of its disk by now.
  const brief = await sites.move({ disable: ["duplicate"] });
  await sites.copying(brief);
  await sites.a.cancel(brief);
  await sites.sites.ended("a", brief);
  await sites.sites.ended("b", brief);
  const { savedBytes } = await arrived(sites);
  assert.ok(savedBytes.warm > 5 * MIB, `${savedBytes.warm}`);
});

Deno.test("a machine that comes home finds the memory that it left with", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const there = await arrived(sites);
  await sites.register("a", "incoming");
  const { id } = await sites.b.startMigration({
    guest: "g",
    to: "a",
    options: migrationOptions.parse({ maxDowntimeMs: 900 }),
  });
  const back = await sites.sites.ended("b", id);
  assert.equal(back.state, "completed", JSON.stringify([back.error, sites.sites.log]));
  await sites.assertRunsWhole("a");
  assert.ok(back.savedBytes.warm > 5 * MIB, `${back.savedBytes.warm}`);
  assert.ok(
    back.wireBytes.memory < there.wireBytes.memory / 2,
    `${back.wireBytes.memory} after ${there.wireBytes.memory}`,
  );
});

Deno.test("a gateway that restarted has nothing of it: the move works, with what the other one has", async () => {
  for (const site of ["a", "b"] as const) {
    await using sites = await ReferenceSites.start(SLOW_PATH);
    await cancelledWithoutDisk(sites);
    await sites.sites.stopSite(site);
    await sites.sites.startSite(site);
    const { savedBytes } = await arrived(sites);
    // What the destination has is enough: then changes travel whole instead of as deltas.
    assert.equal(savedBytes.warm > MIB, site === "a", `${site}: ${savedBytes.warm}`);
  }
});

Deno.test("kept memory that has rotted meanwhile is noticed page by page, and sent again", async () => {
  // So little that the file holds most of what is kept.
  const pages = { ...DEFAULT_PAGE_LIMITS, pageImageBytesMax: 512 * 1024 };
  await using sites = await ReferenceSites.start(SLOW_PATH, pages);
  await cancelledInSync(sites);
  const spills = spillsOf(`${sites.sites.directory}/b/`);
  assert.equal(spills.length, 1);
  overwrite(spills[0]);
  const { repairs, savedBytes } = await arrived(sites);
  assert.ok(repairs > 0);
  assert.ok(savedBytes.warm > 0);
  // What came out wrong once is not offered again.
  assert.deepEqual(spillsOf(`${sites.sites.directory}/b/`), []);
});

Deno.test("memory of another size makes nothing of what was kept", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  await cancelledWithoutDisk(sites);
  for (const site of ["a", "b"] as const) await sites[site].deleteGuest("g", true);
  const memoryMiB = 20;
  await sites.register("a", "source", "g", { memoryMiB });
  await sites.register("b", "incoming", "g", { memoryMiB });
  const { id } = await sites.a.startMigration({
    guest: "g",
    to: "b",
    options: migrationOptions.parse({ maxDowntimeMs: 900 }),
  });
  await sites.assertArrives(id);
  assert.equal(sites.a.migration(id).savedBytes.warm, 0);
});

Deno.test("nothing stays beyond its time, where the move says so, and after its leftovers are deleted", async () => {
  const limits = { keptAttemptMs: 0 };
  await using sites = await ReferenceSites.start(SLOW_PATH, undefined, limits);
  await cancelledWithoutDisk(sites);
  assert.equal((await arrived(sites)).savedBytes.warm, 0);

  await using others = await ReferenceSites.start(SLOW_PATH);
  await cancelledInSync(others);
  assert.equal((await arrived(others, { disable: ["warm"] })).savedBytes.warm, 0);

  await using thirds = await ReferenceSites.start(SLOW_PATH);
  const { id } = await cancelledInSync(thirds);
  await within(10_000, "the machine's end", thirds.b.deleteGuest("g", true));
  await thirds.b.deleteLeftovers(id);
  assert.equal((await arrived(thirds)).savedBytes.warm, 0);
});
