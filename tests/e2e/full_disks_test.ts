import assert from "node:assert/strict";
import { ReferenceSites } from "./support/reference_sites.ts";
import { SmallDisk } from "./support/small_disk.ts";

/** The ledger of a site moves to a disk of its own, as a site may be set up. */
async function withOwnLedger(sites: ReferenceSites, site: "a" | "b", disk: SmallDisk) {
  await sites.sites.stopSite(site);
  const path = `${sites.sites.directory}/${site}/ledger.sqlite`;
  await Deno.copyFile(path, `${disk.directory}/ledger.sqlite`);
  await Deno.remove(path);
  await Deno.symlink(`${disk.directory}/ledger.sqlite`, path);
  await sites.sites.startSite(site);
}

Deno.test("a source whose ledger's disk is full at the hand-over keeps the machine, running, and writes when it can", async () => {
  await using disk = await SmallDisk.mount(2);
  await using sites = await ReferenceSites.start();
  await withOwnLedger(sites, "a", disk);
  sites.faults.at("a", "memory.finish", async (finish) => {
    await finish();
    disk.fill();
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ phase }) => /Cannot record a decision/.test(phase));
  assert.equal((await sites.a.guest("g")).runState, "running");
  assert.equal(sites.a.health().status, "ok", "reading still works");
  disk.free();
  await sites.assertStays(id, "ledger_write_failed");
  await sites.assertMovesNow();
});

Deno.test("a destination whose ledger's disk is full before it owns the machine refuses when it can", async () => {
  await using disk = await SmallDisk.mount(2);
  await using sites = await ReferenceSites.start();
  await withOwnLedger(sites, "b", disk);
  sites.faults.at("b", "destination.load", async (load) => {
    await load();
    disk.fill();
  });
  const id = await sites.move();
  const refusing = /^b warn .*refusing: ledger_write_failed/;
  await sites.sites.until("b", id, () => sites.sites.log.some((line) => refusing.test(line)));
  assert.equal((await sites.a.guest("g")).runState, "postmigrate", "nothing was told yet");
  assert.equal((await sites.b.guest("g")).runState, "paused");
  disk.free();
  await sites.assertStays(id, "ledger_write_failed");
  await sites.assertMovesNow();
});

Deno.test("a destination whose host's disk fills up while it receives ends the move, and takes it when there is room", async () => {
  await using sites = await ReferenceSites.start();
  const machines = `${sites.sites.directory}/b/guest-g`;
  await Deno.mkdir(machines, { recursive: true });
  await using disk = await SmallDisk.mount(12, machines);
  sites.faults.at("b", "destination.writeDisk", async (write) => {
    disk.fill();
    return await write();
  });
  const id = await sites.move({}, "g", { diskMiB: [8] });
  const report = await sites.sites.ended("a", id);
  assert.equal(report.state, "failed");
  assert.equal(report.error?.code, "disk_full", JSON.stringify(report.error));
  await sites.assertRunsWhole("a");
  await sites.sites.ended("b", id);
  disk.free();
  await sites.assertMovesNow();
});
