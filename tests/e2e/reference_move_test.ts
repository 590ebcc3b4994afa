import assert from "node:assert/strict";
import { guestDefinition } from "../../src/guest/definition.ts";
import { attachReferenceGuest } from "../../src/guest/reference/reference_guest.ts";
import { systemClock } from "../../src/host/system_clock.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import type { MigrationReport } from "../../src/migration/report.ts";
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

/** Registers the machine at both sites and asks for its move from a to b. */
async function move(sites: TwoSites, options: Record<string, unknown> = {}) {
  await sites.a.putGuest("g", definition("source"));
  await sites.b.putGuest("g", definition("incoming"));
  const request = { guest: "g", to: "b", options: migrationOptions.parse(options) };
  return (await sites.a.startMigration(request)).id;
}

/** The machine runs at `at`, not at `other`, and is whole by its own account. */
async function assertRunsWhole(sites: TwoSites, at: "a" | "b", other: "a" | "b") {
  assert.equal((await sites[at].guest("g")).runState, "running");
  assert.notEqual((await sites[other].guest("g")).runState, "running");
  const check = await sites[at].verifyGuest("g") as { ok: boolean };
  assert.equal(check.ok, true, JSON.stringify(check));
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

Deno.test("a cancel while copying leaves the machine running at the source, and a second move works", async () => {
  await using sites = await start({ delayMs: 5, bytesPerSecond: 12_000_000 });
  const id = await move(sites);
  await sites.until("a", id, (report) => report.wireBytes.disk > 500_000);
  await sites.a.cancel(id);
  const report = await sites.ended("a", id);
  assert.equal(report.state, "cancelled");
  assert.equal(report.error, null);
  await assertRunsWhole(sites, "a", "b");
  assert.equal((await sites.ended("b", id)).state, "cancelled");

  // The incoming machine ended with the first try: the gateway starts it afresh for the second.
  const again = await sites.a.startMigration({
    guest: "g",
    to: "b",
    options: migrationOptions.parse({}),
  });
  assert.equal((await sites.ended("a", again.id)).state, "completed", sites.log.join("\n"));
  await assertRunsWhole(sites, "b", "a");
});

Deno.test("a held move stays in sync until it is told to switch", async () => {
  await using sites = await start();
  const id = await move(sites, { hold: true });
  const held = await sites.until("a", id, ({ state }) => state === "holding");
  assert.equal(held.owner, "a");
  assert.equal((await sites.a.guest("g")).runState, "running");
  await sites.a.switchover(id);
  assert.equal((await sites.ended("a", id)).state, "completed", sites.log.join("\n"));
  await assertRunsWhole(sites, "b", "a");
});

Deno.test("stop-and-copy pauses first and ends with the machine running at the destination", async () => {
  await using sites = await start();
  const id = await move(sites, { strategy: "stop-and-copy" });
  const report = await sites.ended("a", id);
  assert.equal(report.state, "completed", JSON.stringify(report.error));
  assert.ok(report.downtimeMs! > report.totalMs! / 3, `${report.downtimeMs} of ${report.totalMs}`);
  await assertRunsWhole(sites, "b", "a");
});

Deno.test("a confirmed hand-over and a kept source end in the same place", async () => {
  await using sites = await start();
  const id = await move(sites, { handover: "confirmed", keepSource: true });
  assert.equal((await sites.ended("a", id)).state, "completed");
  assert.equal((await sites.a.guest("g")).runState, "postmigrate");
  await assertRunsWhole(sites, "b", "a");
});

Deno.test("a move survives connections that are cut again and again", async () => {
  await using sites = await start({ delayMs: 5, bytesPerSecond: 16_000_000 });
  const id = await move(sites);
  for (const megabytes of [1, 2, 4, 6]) {
    await sites.until(
      "a",
      id,
      ({ wireBytes, state }) => wireBytes.total > megabytes * 1_000_000 || state === "completed",
    );
    sites.cut();
  }
  const report = await sites.ended("a", id);
  assert.equal(report.state, "completed", JSON.stringify(report.error));
  await assertRunsWhole(sites, "b", "a");
});

Deno.test("the machine goes there and comes back, with an epoch for each hand-over", async () => {
  await using sites = await start();
  const there = await move(sites);
  await sites.ended("a", there);
  await sites.a.putGuest("g", definition("incoming"));
  const back = await sites.b.startMigration({
    guest: "g",
    to: "a",
    options: migrationOptions.parse({}),
  });
  const report = await sites.ended("b", back.id);
  assert.equal(report.state, "completed", JSON.stringify(report.error));
  assert.equal(report.epoch, 3);
  await assertRunsWhole(sites, "a", "b");
});

Deno.test("a source gateway that restarts while copying leaves the machine running and says why", async () => {
  await using sites = await start({ delayMs: 5, bytesPerSecond: 12_000_000 });
  const id = await move(sites);
  await sites.until("a", id, (report) => report.wireBytes.disk > 500_000);
  await sites.stopSite("a");
  await sites.startSite("a");
  const report = await sites.ended("a", id);
  assert.equal(report.state, "failed");
  assert.equal(report.error?.code, "gateway_restarted");
  await assertRunsWhole(sites, "a", "b");
  assert.equal((await sites.ended("b", id)).state, "failed");
  const again = await move(sites);
  assert.equal((await sites.ended("a", again)).state, "completed", sites.log.join("\n"));
});

Deno.test("a source gateway that dies while copying still tells afterwards how far it was", async () => {
  await using sites = await start({ delayMs: 5, bytesPerSecond: 2_000_000 });
  const id = await move(sites);
  const before = await sites.until("a", id, ({ wireBytes }) => wireBytes.disk > 500_000);
  const { length: roundCount } = before.rounds;
  // It is kept once a second.
  await sites.until("a", id, ({ totalMs }) => totalMs! > before.totalMs! + 1_200);
  await sites.crashSite("a");
  await sites.startSite("a");
  const report = await sites.ended("a", id);
  assert.equal(report.error?.code, "gateway_restarted");
  assert.ok(report.wireBytes.total >= before.wireBytes.total, JSON.stringify(report));
  assert.ok(report.progress >= before.progress);
  assert.equal(report.memory.totalBytes, before.memory.totalBytes);
  assert.deepEqual(report.disks.map((disk) => disk.id), before.disks.map((disk) => disk.id));
  assert.ok(report.rounds.length >= roundCount);
  const { savedBytes } = report;
  assert.ok(Object.values(savedBytes).some((bytes) => bytes > 0));
});

Deno.test("the destination says completed with the source's last figures, never before them", async () => {
  await using sites = await start();
  const shown: MigrationReport[] = [];
  const stop = sites.b.onReport(null, (report) => shown.push(report));
  const id = await move(sites);
  const source = await sites.ended("a", id);
  await sites.ended("b", id);
  stop();
  const completed = shown.filter(({ state }) => state === "completed");
  assert.ok(completed.length > 0);
  for (const report of completed) {
    assert.equal(report.downtimeMs, source.downtimeMs);
    assert.equal(report.endedAt, source.endedAt);
    assert.equal(report.progress, 1);
    assert.deepEqual(report.rounds, source.rounds);
    assert.deepEqual(report.machine, { site: "b", runState: "running" });
  }
  assert.equal(shown.at(-1)!.state, "completed");
});

Deno.test("a destination gateway that restarts while copying ends the move at the source", async () => {
  await using sites = await start({ delayMs: 5, bytesPerSecond: 12_000_000 });
  const id = await move(sites);
  await sites.until("a", id, (report) => report.wireBytes.disk > 500_000);
  await sites.stopSite("b");
  await sites.startSite("b");
  const report = await sites.ended("a", id);
  assert.equal(report.state, "failed");
  await assertRunsWhole(sites, "a", "b");
  const again = await move(sites);
  assert.equal((await sites.ended("a", again)).state, "completed", sites.log.join("\n"));
  await assertRunsWhole(sites, "b", "a");
});

Deno.test("what cannot move is refused by name before anything is touched", async () => {
  await using sites = await start();
  const options = migrationOptions.parse({});
  const refused = (request: { guest: string; to: string }, code: string) =>
    assert.rejects(
      () => sites.a.startMigration({ ...request, options }),
      (error: { code?: string }) => error.code === code,
      code,
    );
  await refused({ guest: "g", to: "b" }, "guest_unknown");
  await sites.a.putGuest("g", definition("source"));
  await refused({ guest: "g", to: "nowhere" }, "peer_unknown");
  await refused({ guest: "g", to: "b" }, "destination_not_registered");
  await sites.b.putGuest("g", { ...definition("incoming"), memoryMiB: 64 } as never);
  await refused({ guest: "g", to: "b" }, "memory_size_differs");
  // The destination has accepted before the source saw the difference: it was told.
  assert.deepEqual(sites.b.migrations(), []);
  await sites.b.deleteGuest("g", true);
  const id = await move(sites, { hold: true });
  await refused({ guest: "g", to: "b" }, "guest_moving");
  await assert.rejects(() => sites.a.deleteGuest("g", true), { code: "guest_moving" });
  assert.equal((await sites.a.guest("g")).runState, "running");
  await sites.a.cancel(id);
  await sites.ended("a", id);
});

Deno.test("a machine that cannot be held keeps only its disks in sync until the switch is asked for", async () => {
  await using sites = await TwoSites.start((_, stateDirectory) => async (request) => {
    const guest = await attachReferenceGuest({
      id: request.id,
      definition: request.definition as ReturnType<typeof definition> & { kind: "reference" },
      stateDirectory: `${stateDirectory}/guest-${request.id}`,
      clock,
      mayStart: request.launch,
    });
    const describe = async () => ({ ...await guest.describe(), canHoldSwitchover: false });
    return new Proxy(guest, {
      get(target, name) {
        if (name === "describe") return describe;
        const value = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  });
  const id = await move(sites, { hold: true });
  const held = await sites.until("a", id, ({ state }) => state === "holding");
  assert.ok(held.findings.some(({ code }) => code === "switchover_not_held"));
  // What the destination's store has to offer goes there before any page.
  assert.ok(held.wireBytes.memory < 4096, `${held.wireBytes.memory}`);
  await sites.a.switchover(id);
  assert.equal((await sites.ended("a", id)).state, "completed", sites.log.join("\n"));
  await assertRunsWhole(sites, "b", "a");
});
