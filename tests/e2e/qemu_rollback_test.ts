import assert from "node:assert/strict";
import { guestDefinition } from "../../src/guest/definition.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import type { MigrationReport } from "../../src/migration/report.ts";
import { attachQemu } from "../../src/qemu/qemu_guest.ts";
import { guestImage } from "../../src/testing/guest_image/build.ts";
import { GuestChannel } from "../../src/testing/guest_image/guest_channel.ts";
import { guestArgv } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import { TwoSites } from "../../src/testing/two_sites.ts";
import { within } from "./support/reference_sites.ts";

const clock = systemClock();
const DISK_MIB = 48;
/** What the disk holds before the machine starts: its own writes are few beside it. */
const FILLED_MIB = 24;
const MOVE_TIMEOUT_MS = 180_000;
type Site = "a" | "b";

const pathsAt = (sites: TwoSites, site: Site) => ({
  disk: { id: "root", path: `${sites.directory}/${site}/root.raw`, format: "raw" as const },
  console: `${sites.directory}/${site}/console.log`,
  channel: `${sites.directory}/${site}/channel`,
});

/** A machine that the gateway of `site` launches itself. */
async function definitionAt(sites: TwoSites, site: Site, role: "source" | "incoming") {
  const { disk, console, channel } = pathsAt(sites, site);
  return guestDefinition.parse({
    kind: "qemu",
    role,
    launch: {
      argv: guestArgv({
        image: await guestImage(),
        memoryMiB: 144,
        disks: [disk],
        workload: { memoryMiB: 8, memoryKiBPerSecond: 512, diskKiBPerSecond: 64 },
        consolePath: console,
        channelPath: channel,
      }),
      disks: [{ ...disk, sizeMiB: DISK_MIB }],
    },
  });
}

async function fill(path: string): Promise<void> {
  using file = await Deno.open(path, { write: true, create: true });
  await file.truncate(DISK_MIB * 1024 * 1024);
  const mebibyte = new Uint8Array(1024 * 1024);
  for (let mib = DISK_MIB - FILLED_MIB; mib < DISK_MIB; mib++) {
    for (let at = 0; at < mebibyte.length; at += 65_536) {
      crypto.getRandomValues(mebibyte.subarray(at, at + 65_536));
    }
    await file.seek(mib * mebibyte.length, Deno.SeekMode.Start);
    await file.write(mebibyte);
  }
}

async function booted(sites: TwoSites): Promise<void> {
  const { console } = pathsAt(sites, "a");
  for (;;) {
    const text = await Deno.readTextFile(console).catch(() => "");
    if (text.includes("cw: ready ")) return;
    await clock.sleep(100);
  }
}

async function ask(sites: TwoSites, site: Site, line: string): Promise<string> {
  using channel = new GuestChannel(pathsAt(sites, site).channel);
  return await channel.ask(line, 60_000);
}

const firstRound = ({ rounds }: MigrationReport) => rounds.find(({ kind }) => kind === "disk")!;

Deno.test(
  "a QEMU that is rolled back, over an outage, brings what it wrote at the other site onto its old images",
  await requires("qemu", "guestImage", "cpio"),
  async () => {
    await using sites = await TwoSites.start((_, stateDirectory) => (request) =>
      attachQemu({
        id: request.id,
        definition: request.definition as never,
        stateDirectory,
        clock,
        mayStart: request.launch,
      }), { delayMs: 10, bytesPerSecond: 20_000_000 });
    await fill(pathsAt(sites, "a").disk.path);
    await sites.a.putGuest("vm", await definitionAt(sites, "a", "source"));
    await within(60_000, "the boot", booted(sites));
    await sites.b.putGuest("vm", await definitionAt(sites, "b", "incoming"));
    const options = migrationOptions.parse({ maxDowntimeMs: 2_000 });
    const { id } = await sites.a.startMigration({ guest: "vm", to: "b", options });
    const completed = ({ state }: MigrationReport) => state === "completed";
    const there = await sites.until("a", id, completed, MOVE_TIMEOUT_MS);
    await sites.until("b", id, completed);

    // Memory and disk of the machine change where it is now.
    await ask(sites, "b", "run echo written-at-b > /tmp/mark");
    await ask(sites, "b", "sync");
    const boot = (await ask(sites, "b", "ping")).split(" boot=")[1];

    await sites.a.rollback(id);
    await sites.until(
      "b",
      id,
      ({ wireBytes, rollback }) => wireBytes !== null && rollback !== null,
    );
    sites.breakPath("cut");
    await clock.sleep(2_000);
    assert.equal((await sites.b.guest("vm")).runState, "running", "an outage stops nothing");
    sites.heal();
    const home = ({ state }: MigrationReport) => state === "rolledBack";
    const undone = await sites.until("a", id, home, MOVE_TIMEOUT_MS);
    await sites.until("b", id, home);
    assert.equal(undone.owner, "a");
    assert.equal(undone.epoch, 3);

    const back = sites.a.migration(undone.rollback!.migration);
    assert.ok(
      firstRound(back).sentBytes < 0.3 * firstRound(there).sentBytes,
      `${firstRound(back).sentBytes} came back of ${firstRound(there).sentBytes}`,
    );
    assert.equal((await sites.b.guest("vm")).runState, "gone");
    assert.match(await ask(sites, "a", "run cat /tmp/mark"), /written-at-b/);
    assert.equal((await ask(sites, "a", "ping")).split(" boot=")[1], boot, "it was not rebooted");
    assert.match(await ask(sites, "a", "verify"), /^verify ok /);
  },
);
