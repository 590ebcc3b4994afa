import assert from "node:assert/strict";
import { type GuestDefinition, guestDefinition } from "../../src/guest/definition.ts";
import { attachReferenceGuest } from "../../src/guest/reference/reference_guest.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { TwoSites } from "../../src/testing/two_sites.ts";

const MIB = 2 ** 20;
const clock = systemClock();

function definition(role: "source" | "incoming") {
  return guestDefinition.parse({
    kind: "reference",
    role,
    memoryMiB: 16,
    disks: [{ sizeMiB: 8 }],
    // The same seed for all: machines of the same make.
    workload: { seed: 7, hotMiB: 1, memoryBytesPerSecond: 500_000, diskBytesPerSecond: 100_000 },
  });
}

function start() {
  return TwoSites.start((_, stateDirectory) => (request) =>
    attachReferenceGuest({
      id: request.id,
      definition: request.definition as GuestDefinition & { kind: "reference" },
      stateDirectory: `${stateDirectory}/guest-${request.id}`,
      clock,
      mayStart: request.launch,
    })
  );
}

/** Moves a machine from a to b and sees that it is whole there. */
async function move(sites: TwoSites, guest: string, options: Record<string, unknown> = {}) {
  await sites.a.putGuest(guest, definition("source"));
  await sites.b.putGuest(guest, definition("incoming"));
  const parsed = migrationOptions.parse({ maxDowntimeMs: 900, ...options });
  const { id } = await sites.a.startMigration({ guest, to: "b", options: parsed });
  const report = await sites.ended("a", id);
  assert.equal(report.state, "completed", JSON.stringify({ report, log: sites.log }, null, 1));
  const check = await sites.b.verifyGuest(guest) as { ok: boolean };
  assert.equal(check.ok, true, JSON.stringify(check));
  return report;
}

Deno.test("a second machine of the same make sends the names of what the first one sent", async () => {
  await using sites = await start();
  const first = await move(sites, "one");
  const second = await move(sites, "two");
  assert.ok(first.wireBytes.memory > 4 * MIB, `${first.wireBytes.memory}`);
  assert.ok(second.wireBytes.memory < 0.2 * first.wireBytes.memory, `${second.wireBytes.memory}`);
  assert.ok(second.wireBytes.disk < 0.2 * first.wireBytes.disk, `${second.wireBytes.disk}`);
  assert.ok(second.savedBytes.duplicate > first.savedBytes.duplicate + 4 * MIB);
  assert.equal(sites.log.filter((line) => line.includes("were asked for")).length, 0);
  const third = await move(sites, "three", { disable: ["duplicate"] });
  assert.ok(third.wireBytes.memory > 0.8 * first.wireBytes.memory, "names can be switched off");
});

Deno.test("machines that move together share what each of them sends", async () => {
  await using sites = await start();
  await sites.a.putGuest("one", definition("source"));
  await sites.b.putGuest("one", definition("incoming"));
  const options = migrationOptions.parse({ maxDowntimeMs: 900, hold: true });
  const { id } = await sites.a.startMigration({ guest: "one", to: "b", options });
  const first = await sites.until("a", id, ({ state }) => state === "holding");
  const second = await move(sites, "two");
  for (const kind of ["memory", "disk"] as const) {
    const [one, two] = [first.wireBytes[kind], second.wireBytes[kind]];
    assert.ok(two < 0.2 * one, `${kind}: ${one} ${two}`);
  }
  await sites.a.switchover(id);
  assert.equal((await sites.ended("a", id)).state, "completed", sites.log.join("\n"));
  const check = await sites.b.verifyGuest("one") as { ok: boolean };
  assert.equal(check.ok, true);
});

Deno.test("a store that was damaged costs the round trips of what is asked for, and nothing else", async () => {
  await using sites = await start();
  await move(sites, "one");
  await sites.stopSite("b");
  const units = Deno.openSync(`${sites.directory}/b/store/units`, { write: true });
  for (let at = 0; at < 24 * MIB; at += 40 * 4096) {
    units.seekSync(at, Deno.SeekMode.Start);
    units.writeSync(new Uint8Array(100).fill(1));
  }
  units.close();
  await sites.startSite("b");
  const second = await move(sites, "two");
  const needs = sites.log.find((line) => line.includes("were asked for"));
  assert.ok(needs !== undefined, sites.log.join("\n"));
  assert.ok(second.savedBytes.duplicate > 0);
});

Deno.test("a peer with another certificate is not offered what the one before has sent", async () => {
  await using sites = await start();
  const first = await move(sites, "one");
  await sites.stopSite("b");
  const path = `${sites.directory}/b/store/key`;
  const key = JSON.parse(Deno.readTextFileSync(path));
  assert.equal(key.peers.length, 1);
  key.peers = ["sha256:somebody else"];
  Deno.writeTextFileSync(path, JSON.stringify(key));
  await sites.stopSite("a");
  await sites.startSite("b");
  // The source starts anew as well: it knows of nothing that it has sent.
  await sites.startSite("a");
  const second = await move(sites, "two");
  assert.ok(second.wireBytes.memory > 0.8 * first.wireBytes.memory, `${second.wireBytes.memory}`);
});
