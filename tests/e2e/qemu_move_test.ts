import assert from "node:assert/strict";
import { guestDefinition } from "../../src/guest/definition.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { attachQemu } from "../../src/qemu/qemu_guest.ts";
import { createDisk, type QemuProcess, startQemu } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import { TwoSites } from "../../src/testing/two_sites.ts";

const clock = systemClock();
const DISK_MIB = 64;
const needs = await requires("qemu", "qemuUtils", "guestImage", "cpio");

function start() {
  return TwoSites.start((_, stateDirectory) => ({ id, definition, launch }) => {
    assert.equal(definition.kind, "qemu");
    return attachQemu({
      id,
      definition: definition as never,
      stateDirectory,
      clock,
      mayStart: launch,
    });
  }, { delayMs: 10, bytesPerSecond: 20_000_000 });
}

/** A busy machine at a and its empty counterpart at b, each with a raw and a qcow2 disk. */
async function machines(sites: TwoSites) {
  const make = async (site: "a" | "b") => {
    const directory = `${sites.directory}/${site}`;
    const disks = [
      { id: "root", path: `${directory}/root.raw`, format: "raw" as const },
      { id: "data", path: `${directory}/data.qcow2`, format: "qcow2" as const },
    ];
    for (const disk of disks) await createDisk(disk.path, disk.format, DISK_MIB);
    const process = await startQemu({
      directory,
      memoryMiB: 160,
      disks,
      workload: { memoryMiB: 12, memoryKiBPerSecond: 1024, diskKiBPerSecond: 256 },
      incoming: site === "b",
    });
    await sites[site].putGuest(
      "vm",
      guestDefinition.parse({
        kind: "qemu",
        qmp: process.qmpPath,
        role: site === "a" ? "source" : "incoming",
      }),
    );
    return { process, disks };
  };
  const a = await make("a");
  await a.process.waitReady();
  return { a, b: await make("b") };
}

async function assertVerifies(machine: QemuProcess) {
  const answer = await machine.ask("verify", 60_000);
  assert.match(answer, /^verify ok /, answer);
}

Deno.test(
  "a busy QEMU machine with two disks arrives whole and verifies itself",
  needs,
  async () => {
    await using sites = await start();
    const { a, b } = await machines(sites);
    await using source = a.process;
    await using destination = b.process;
    const { id } = await sites.a.startMigration({
      guest: "vm",
      to: "b",
      options: migrationOptions.parse({}),
    });
    const report = await sites.ended("a", id);
    assert.equal(report.state, "completed", JSON.stringify({ report, log: sites.log }, null, 1));
    assert.equal(report.opaqueReason, null);
    await source.exited;
    await assertVerifies(destination);
  },
);
