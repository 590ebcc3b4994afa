import assert from "node:assert/strict";
import { guestDefinition } from "../../src/guest/definition.ts";
import { attachReferenceGuest } from "../../src/guest/reference/reference_guest.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { TwoSites } from "../../src/testing/two_sites.ts";

const clock = systemClock();

function definition(role: "source" | "incoming") {
  return guestDefinition.parse({
    kind: "reference",
    role,
    memoryMiB: 32,
    disks: [{ sizeMiB: 16 }],
    workload: { seed: 7, hotMiB: 2, memoryBytesPerSecond: 2_000_000, diskBytesPerSecond: 300_000 },
  });
}

function start(path?: { delayMs: number; bytesPerSecond: number | null }) {
  return TwoSites.start((_, stateDirectory) => (request) => {
    assert.equal(request.definition.kind, "reference");
    return attachReferenceGuest({
      id: request.id,
      definition: request.definition as ReturnType<typeof definition> & { kind: "reference" },
      stateDirectory: `${stateDirectory}/guest-${request.id}`,
      clock,
      mayStart: request.launch,
    });
  }, path);
}

Deno.test("a busy machine arrives whole, and the same migration is served at both sites", async () => {
  await using sites = await start();
  await sites.a.putGuest("g", definition("source"));
  await sites.b.putGuest("g", definition("incoming"));
  const { id } = await sites.a.startMigration({
    guest: "g",
    to: "b",
    options: migrationOptions.parse({}),
  });
  const report = await sites.ended("a", id);
  assert.equal(report.state, "completed", JSON.stringify({ report, log: sites.log }, null, 1));
  assert.equal(report.owner, "b");
  assert.equal(report.epoch, 2);
  assert.deepEqual(report.machine, { site: "b", runState: "running" });
  assert.ok(report.downtimeMs !== null && report.downtimeMs > 0);
  assert.equal((await sites.b.guest("g")).runState, "running");
  assert.equal((await sites.a.guest("g")).runState, "gone");
  const check = await sites.b.verifyGuest("g") as { ok: boolean };
  assert.equal(check.ok, true, JSON.stringify(check));
  const there = await sites.ended("b", id);
  assert.equal(there.state, "completed");
  assert.equal(there.downtimeMs, report.downtimeMs);
});
