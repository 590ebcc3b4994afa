import assert from "node:assert/strict";
import { GatewayError } from "../../src/core/errors.ts";
import { guestDefinition } from "../../src/guest/definition.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import type { MigrationReport } from "../../src/migration/report.ts";
import { ReferenceSites, type Site, SLOW_PATH, within } from "./support/reference_sites.ts";

/** Its disk is written slowly enough that some seconds of a busy computer leave most of it alone. */
function definition(role: "source" | "incoming") {
  return guestDefinition.parse({
    kind: "reference",
    role,
    memoryMiB: 16,
    disks: [{ sizeMiB: 16 }],
    workload: { seed: 7, hotMiB: 1, memoryBytesPerSecond: 500_000, diskBytesPerSecond: 12_000 },
  });
}

async function start(sites: ReferenceSites, from: Site, options: Record<string, unknown> = {}) {
  const to = from === "a" ? "b" : "a";
  await sites[to].putGuest("g", definition("incoming"));
  const parsed = migrationOptions.parse({ maxDowntimeMs: 900, ...options });
  return (await sites[from].startMigration({ guest: "g", to, options: parsed })).id;
}

/** Moves the machine from a and cancels it when its disks have arrived. */
async function cancelledMove(sites: ReferenceSites): Promise<MigrationReport> {
  await sites.a.putGuest("g", definition("source"));
  const id = await start(sites, "a");
  await sites.sites.until("a", id, ({ phase }) => phase.startsWith("copying memory"));
  await sites.a.cancel(id);
  await sites.sites.ended("b", id);
  return await sites.sites.ended("a", id);
}

async function completedMove(sites: ReferenceSites, from: Site, options = {}) {
  const id = await start(sites, from, options);
  const report = await sites.sites.ended(from, id);
  const account = { report, log: sites.sites.log.slice(-30) };
  assert.equal(report.state, "completed", JSON.stringify(account, null, 1));
  await sites.assertRunsWhole(from === "a" ? "b" : "a");
  return report;
}

/** Raw bytes that the first disk round sent. */
const firstRound = ({ rounds }: MigrationReport) => rounds.find(({ kind }) => kind === "disk")!;

/** The record of a site's image is written beside the end of its move; waits until it is there. */
async function recordedAt(sites: ReferenceSites, site: Site): Promise<string> {
  const directory = `${sites.sites.directory}/${site}/disks`;
  const look = async () => {
    for (;;) {
      try {
        const record = [...Deno.readDirSync(directory)].find(({ name }) => /\.blocks$/.test(name));
        if (record) return `${directory}/${record.name}`;
      } catch {
        // The folder is made with the first record.
      }
      await sites.sites.clock.sleep(10);
    }
  };
  return await within(10_000, "the record", look());
}

const recalled = (sites: ReferenceSites, site: Site) =>
  sites.sites.log.some((line) => line.startsWith(site) && /as an earlier move left it/.test(line));

Deno.test("a move after a cancelled one sends of the disks what changed meanwhile", async () => {
  await using sites = await ReferenceSites.start();
  const first = await cancelledMove(sites);
  assert.equal(first.savedBytes.warm, 0);
  const second = await completedMove(sites, "a");
  const [sentBytes, againBytes] = [firstRound(first).sentBytes, firstRound(second).sentBytes];
  assert.ok(againBytes < 0.3 * sentBytes, `${againBytes} after ${sentBytes}`);
  assert.ok(second.wireBytes.disk < 0.5 * first.wireBytes.disk);
  assert.ok(second.savedBytes.warm > 0.5 * sentBytes);
  assert.ok(recalled(sites, "b"), "the record of the first move was not used");
});

Deno.test("an image that was changed behind the gateway's back is read again and made right", async () => {
  await using sites = await ReferenceSites.start();
  const first = await cancelledMove(sites);
  const [image] = sites.b.migration(first.id).leftovers;
  await recordedAt(sites, "b");
  {
    using file = await Deno.open(image, { read: true, write: true });
    const block = new Uint8Array(64 * 1024);
    for (let at = 0; await file.read(block) !== null; at += block.length) {
      if (block.every((byte) => byte === 0)) continue;
      await file.seek(at, Deno.SeekMode.Start);
      await file.write(Uint8Array.of(block[0] ^ 1));
      await file.seek(at + block.length, Deno.SeekMode.Start);
    }
  }
  const second = await completedMove(sites, "a");
  assert.ok(!recalled(sites, "b"));
  assert.match(sites.sites.log.join("\n"), /has changed since it was recorded/);
  assert.equal(firstRound(second).sentBytes >= firstRound(first).sentBytes / 2, true);
});

Deno.test("an image without a record is read: one that was seeded by hand is as good", async () => {
  await using sites = await ReferenceSites.start();
  const first = await cancelledMove(sites);
  await Deno.remove(await recordedAt(sites, "b"));
  const second = await completedMove(sites, "a");
  assert.ok(!recalled(sites, "b"));
  assert.ok(second.savedBytes.warm > 0.5 * firstRound(first).sentBytes);
});

Deno.test("a machine that comes home finds its disk as it left it", async () => {
  await using sites = await ReferenceSites.start();
  await sites.a.putGuest("g", definition("source"));
  const there = await completedMove(sites, "a", { strategy: "stop-and-copy" });
  const back = await completedMove(sites, "b");
  assert.ok(firstRound(back).sentBytes < 0.3 * firstRound(there).sentBytes);
  assert.ok(recalled(sites, "a"));
  const again = await completedMove(sites, "a", { strategy: "stop-and-copy" });
  assert.ok(firstRound(again).sentBytes < 0.5 * firstRound(there).sentBytes);
});

Deno.test("a write that failed leaves nothing that the next move would take for written", async () => {
  await using sites = await ReferenceSites.start();
  await sites.a.putGuest("g", definition("source"));
  let written = 0;
  void sites.faults.at("b", "destination.writeDisk", async (call) => {
    // The 40th write changes the disk, and fails all the same.
    const result = await call();
    if (++written < 40) return result;
    sites.faults.clear("b", "destination.writeDisk");
    throw new GatewayError("disk_io", "Cannot write: the storage is gone", { hint: "Look at it" });
  }, { stays: true });
  const failed = await sites.sites.ended("a", await start(sites, "a"));
  assert.equal(failed.error?.code, "disk_io");
  await sites.sites.ended("b", failed.id);
  await recordedAt(sites, "b");
  const next = await completedMove(sites, "a");
  assert.ok(recalled(sites, "b"));
  assert.ok(next.savedBytes.warm > 0);
});

Deno.test("what could not be flushed is not recorded", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  await sites.a.putGuest("g", definition("source"));
  const id = await start(sites, "a");
  await sites.copying(id);
  const flushed = sites.faults.at("b", "destination.flushDisks", () => Promise.reject(new Error()));
  await sites.a.cancel(id);
  await flushed;
  await sites.sites.ended("b", id);
  await sites.sites.ended("a", id);
  const next = await completedMove(sites, "a");
  assert.ok(!recalled(sites, "b"));
  assert.ok(next.savedBytes.warm > 0);
});

Deno.test("without the techniques by name the disks travel whole", async () => {
  await using sites = await ReferenceSites.start();
  const first = await cancelledMove(sites);
  const second = await completedMove(sites, "a", { disable: ["warm", "unchanged", "zero"] });
  assert.ok(firstRound(second).sentBytes >= firstRound(first).sentBytes);
  const { warm, unchanged, zero } = second.savedBytes;
  assert.deepEqual({ warm, unchanged }, { warm: 0, unchanged: 0 });
  // The machine's own stream names zero pages as such.
  assert.ok(zero <= 16 * 1024 * 1024);
});

Deno.test("deleting what a cancelled move left deletes what is known of it", async () => {
  await using sites = await ReferenceSites.start();
  const { id } = await cancelledMove(sites);
  const record = await recordedAt(sites, "b");
  await sites.b.deleteLeftovers(id);
  await assert.rejects(Deno.stat(record), Deno.errors.NotFound);
});
