import assert from "node:assert/strict";
import { guestDefinition } from "../../src/guest/definition.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { ENDED_STATES, type MigrationReport } from "../../src/migration/report.ts";
import { attachQemu } from "../../src/qemu/qemu_guest.ts";
import { createDisk, type QemuProcess, startQemu } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import { TwoSites } from "../../src/testing/two_sites.ts";

const clock = systemClock();
const DISK_MIB = 48;
const FILLED_MIB = 24;
const MOVE_TIMEOUT_MS = 120_000;

/** The machine's two images at a site: made once, and then found again. */
const disksAt = (sites: TwoSites, site: "a" | "b") => [
  { id: "root", path: `${sites.directory}/${site}/root.raw`, format: "raw" as const },
  { id: "data", path: `${sites.directory}/${site}/data.qcow2`, format: "qcow2" as const },
];

/** Gives an image content that the machine's own writes, which are few, are small beside. */
async function fill(path: string, format: string): Promise<void> {
  const writes = Array.from({ length: FILLED_MIB }, (_, mib) => [
    "-c",
    `write -P ${mib + 1} ${DISK_MIB - FILLED_MIB + mib}M 1M`,
  ]);
  const args = ["-f", format, ...writes.flat(), path];
  const { success } = await new Deno.Command("qemu-io", { args, stdout: "null" }).output();
  assert.ok(success);
}

/** Starts QEMU at a site over the images that are there, and registers it. */
async function machineAt(
  sites: TwoSites,
  site: "a" | "b",
  role: "source" | "incoming",
  name: string,
): Promise<QemuProcess> {
  const process = await startQemu({
    directory: `${sites.directory}/${site}`,
    name,
    memoryMiB: 144,
    disks: disksAt(sites, site),
    workload: { memoryMiB: 8, memoryKiBPerSecond: 512, diskKiBPerSecond: 64 },
    incoming: role === "incoming",
  });
  const definition = guestDefinition.parse({ kind: "qemu", qmp: process.qmpPath, role });
  await sites[site].putGuest("vm", definition);
  return process;
}

async function move(sites: TwoSites, from: "a" | "b"): Promise<string> {
  const request = {
    guest: "vm",
    to: from === "a" ? "b" : "a",
    options: migrationOptions.parse({ maxDowntimeMs: 900 }),
  };
  return (await sites[from].startMigration(request)).id;
}

/** Several moves of a whole machine: on a busy computer each takes its time. */
function ended(sites: TwoSites, site: "a" | "b", id: string): Promise<MigrationReport> {
  return sites.until(site, id, ({ state }) => ENDED_STATES.includes(state), MOVE_TIMEOUT_MS);
}

async function completed(sites: TwoSites, from: "a" | "b"): Promise<MigrationReport> {
  const report = await ended(sites, from, await move(sites, from));
  assert.equal(report.state, "completed", JSON.stringify({ report, log: sites.log }, null, 1));
  return report;
}

const firstRound = ({ rounds }: MigrationReport) => rounds.find(({ kind }) => kind === "disk")!;

const recalled = (sites: TwoSites, site: string) =>
  sites.log.filter((line) => line.startsWith(site) && /as an earlier move left it/.test(line))
    .length;

Deno.test(
  "QEMU's disks, raw and qcow2, are found again after a cancelled move and on the way home",
  await requires("qemu", "qemuUtils", "guestImage", "cpio"),
  async () => {
    await using sites = await TwoSites.start((_, stateDirectory) => (request) =>
      attachQemu({
        id: request.id,
        definition: request.definition as never,
        stateDirectory,
        clock,
        mayStart: request.launch,
      }), { delayMs: 10, bytesPerSecond: 40_000_000 });
    for (const site of ["a", "b"] as const) {
      for (const { path, format } of disksAt(sites, site)) await createDisk(path, format, DISK_MIB);
    }
    for (const { path, format } of disksAt(sites, "a")) await fill(path, format);
    await using atA = await machineAt(sites, "a", "source", "one");
    await atA.waitReady();
    await using _lost = await machineAt(sites, "b", "incoming", "lost");
    const cancelled = await move(sites, "a");
    await sites.until("a", cancelled, ({ phase }) => phase.startsWith("copying memory"));
    await sites.a.cancel(cancelled);
    const first = await ended(sites, "a", cancelled);
    await ended(sites, "b", cancelled);

    await using atB = await machineAt(sites, "b", "incoming", "two");
    const second = await completed(sites, "a");
    assert.equal(recalled(sites, "b"), 2);
    assert.ok(second.savedBytes.warm > 0.5 * firstRound(first).sentBytes);
    assert.ok(firstRound(second).sentBytes < 0.5 * firstRound(first).sentBytes);
    await atA.exited;
    const there = await atB.ask("verify", 60_000);
    assert.match(there, /^verify ok /, there);

    await using home = await machineAt(sites, "a", "incoming", "three");
    const back = await completed(sites, "b");
    assert.equal(recalled(sites, "a"), 2);
    assert.ok(firstRound(back).sentBytes < 0.5 * firstRound(first).sentBytes);
    await atB.exited;
    const here = await home.ask("verify", 60_000);
    assert.match(here, /^verify ok /, here);
  },
);
