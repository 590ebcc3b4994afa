import assert from "node:assert/strict";
import { guestDefinition } from "../../src/guest/definition.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { attachQemu } from "../../src/qemu/qemu_guest.ts";
import { createDisk, type QemuProcess, startQemu } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import { TwoSites } from "../../src/testing/two_sites.ts";

const clock = systemClock();
const needs = await requires("qemu", "qemuUtils", "guestImage", "cpio");
const MEMORY_MIB = 160;
const MIB = 1024 * 1024;

function start() {
  return TwoSites.start((_, stateDirectory) => ({ id, definition, launch }) =>
    attachQemu({
      id,
      definition: definition as never,
      stateDirectory,
      clock,
      mayStart: launch,
    }), { delayMs: 10, bytesPerSecond: 12_000_000 });
}

/** Starts a QEMU of the same machine at a site, busy or waiting, and registers it. */
async function machine(
  sites: TwoSites,
  site: "a" | "b",
  role: "source" | "incoming",
): Promise<QemuProcess> {
  const directory = `${sites.directory}/${site}/${role}-${crypto.randomUUID().slice(0, 8)}`;
  await Deno.mkdir(directory, { recursive: true });
  const disk = { id: "root", path: `${directory}/root.raw`, format: "raw" as const };
  await createDisk(disk.path, disk.format, 16);
  const process = await startQemu({
    directory,
    memoryMiB: MEMORY_MIB,
    disks: [disk],
    workload: { memoryMiB: 8, memoryKiBPerSecond: 256, diskKiBPerSecond: 64 },
    incoming: role === "incoming",
  });
  const definition = guestDefinition.parse({ kind: "qemu", qmp: process.qmpPath, role });
  await sites[site].putGuest("vm", definition);
  return process;
}

async function move(sites: TwoSites, from: "a" | "b", options: Record<string, unknown> = {}) {
  const to = from === "a" ? "b" : "a";
  const request = { guest: "vm", to, options: migrationOptions.parse(options) };
  return (await sites[from].startMigration(request)).id;
}

async function completed(sites: TwoSites, from: "a" | "b", id: string) {
  const report = await sites.ended(from, id);
  assert.equal(report.state, "completed", JSON.stringify({ report, log: sites.log }, null, 1));
  return report;
}

Deno.test(
  "a real machine's second attempt and its way home send a small part of its memory",
  needs,
  async () => {
    await using sites = await start();
    await using source = await machine(sites, "a", "source");
    await source.waitReady();
    await using lost = await machine(sites, "b", "incoming");
    // So short that nearly all of the memory has crossed: this link brings 20 MiB in 300 ms.
    const held = await move(sites, "a", { hold: true, maxDowntimeMs: 120 });
    await sites.until("a", held, ({ state }) => state === "holding", 60_000);
    await sites.a.cancel(held);
    const first = await sites.ended("a", held);
    await sites.ended("b", held);
    await lost.exited;

    await using there = await machine(sites, "b", "incoming");
    const second = await completed(sites, "a", await move(sites, "a"));
    assert.match(await there.ask("verify", 60_000), /^verify ok /);
    await source.exited;

    await using home = await machine(sites, "a", "incoming");
    const back = await completed(sites, "b", await move(sites, "b"));
    assert.match(await home.ask("verify", 60_000), /^verify ok /);

    for (const { wireBytes, savedBytes } of [second, back]) {
      assert.ok(savedBytes.warm > 50 * MIB, `${savedBytes.warm}`);
      assert.ok(
        wireBytes.memory < first.wireBytes.memory / 10,
        `${wireBytes.memory} after ${first.wireBytes.memory}`,
      );
    }
  },
);
