import assert from "node:assert/strict";
import type { GuestView, Plan } from "../../src/gateway/service.ts";
import { planRequest } from "../../src/http/schemas/plan.ts";
import { requires } from "../../src/testing/requirements.ts";
import { KillableSites } from "./support/killable_sites.ts";
import { ReferenceSites, type Site, SLOW_PATH } from "./support/reference_sites.ts";

const MIB = 1024 * 1024;
const needs = await requires("qemu", "guestImage", "cpio");
const never = new AbortController().signal;

function plan(
  sites: ReferenceSites,
  wishes: Record<string, unknown> = {},
  signal = never,
): Promise<Plan> {
  return sites.a.plan(planRequest.parse({ guest: "g", to: "b", seconds: 1, ...wishes }), signal);
}

const codes = ({ findings }: Plan) => findings.map(({ code }) => code);

/** What a site's ledger has of moves, and what its audit says. */
function traces(sites: ReferenceSites, site: Site) {
  const database = sites.sites.ledger(site);
  try {
    const count = (table: string) =>
      database.prepare(`SELECT count(*) AS count FROM ${table}`).get()!.count;
    return [
      count("migration"),
      count("migration_event"),
      sites[site].audit({ limit: 1_000 }).length,
    ];
  } finally {
    database.close();
  }
}

Deno.test("a plan watches, probes and asks, forecasts from that, and leaves no trace of a move", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  await sites.register("a", "source");
  await sites.register("b", "incoming");
  const before = [traces(sites, "a"), traces(sites, "b")];
  const { probe, sample, destination, findings, rate, strategies, changes } = await plan(sites);
  assert.deepEqual(findings, []);
  assert.equal(rate.source, "probed");
  const { low, expected, high } = rate.bytesPerSecond;
  assert.ok(low <= expected && expected <= high);
  const slow = SLOW_PATH.bytesPerSecond!;
  // How near to the truth a probe comes is measured by a bench; a busy computer carries less.
  assert.ok(expected > 0 && expected < 1.2 * slow, `${expected} of ${slow}`);
  assert.equal(probe!.source, "filler");
  assert.equal(sample!.memory.windows.length, 2);
  assert.ok(sample!.memory.windows[1].distinctBytes > 0);
  assert.ok(sample!.disks[0].writtenBytesPerSecond > 0);
  assert.equal(destination!.description.runState, "incoming");
  assert.ok(destination!.availableMemoryBytes! > 0);
  assert.equal(destination!.held.memoryBytes, 0);
  assert.deepEqual(strategies.map(({ strategy }) => strategy).slice(0, 1), ["precopy"]);
  assert.equal(strategies.at(-1)!.strategy, "stop-and-copy");
  for (const { totalMs, downtimeMs, wireBytes } of [strategies[0], strategies.at(-1)!]) {
    assert.ok(totalMs!.low > 0 && downtimeMs!.low > 0);
    assert.ok(wireBytes!.low > 0 && wireBytes!.low < 24 * MIB);
  }
  assert.match(changes[0].text, /^twice the rate/);
  assert.deepEqual([traces(sites, "a"), traces(sites, "b")], before);
  assert.deepEqual([...sites.a.migrations(), ...sites.b.migrations()], []);
  await sites.assertMovesNow();
});

Deno.test("after a move back a plan knows what is there already, and forecasts less", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  await sites.register("a", "source");
  await sites.register("b", "incoming");
  const first = await plan(sites, { strategy: "precopy" });
  const id = await sites.move();
  await sites.copying(id);
  await sites.sites.until("a", id, ({ wireBytes }) => wireBytes.memory > 2 * MIB);
  await sites.a.cancel(id);
  await sites.sites.ended("b", id);
  await sites.register("b", "incoming");
  const { destination, strategies: [again] } = await plan(sites, { strategy: "precopy" });
  assert.ok(destination!.held.memoryBytes > 0);
  assert.ok(destination!.held.disks[0].isKnown);
  assert.ok(again.wireBytes!.low < first.strategies[0].wireBytes!.low);
  assert.match(again.remarks.join("\n"), /of this memory from before/);
});

Deno.test("a plan whose caller hangs up ends at once, and another one is not disturbed", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  await sites.register("a", "source");
  await sites.register("b", "incoming");
  const caller = new AbortController();
  const other = plan(sites);
  const given = plan(sites, { seconds: 30 }, caller.signal);
  const beganMs = performance.now();
  caller.abort(new Error("hung up"));
  await assert.rejects(given, /hung up/);
  assert.ok(performance.now() - beganMs < 5_000);
  assert.equal((await other).rate.source, "probed");
  await sites.assertMovesNow();
});

Deno.test("a plan tells what both sides would refuse a move for", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  await sites.register("a", "source");
  assert.deepEqual(codes(await plan(sites)), ["destination_not_registered"]);
  await sites.register("b", "incoming", "g", { memoryMiB: 32 });
  const found = codes(await plan(sites));
  assert.ok(found.length === 2 && found.every((code) => code === "memory_size_differs"));
  await sites.a.deleteGuest("g", true);
  await sites.b.deleteGuest("g", true);
  await sites.register("a", "incoming");
  assert.ok(codes(await plan(sites)).includes("guest_not_source"));
  await sites.a.deleteGuest("g", true);
});

Deno.test("beside a move a plan looks on, does not watch its machine, and says so", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move({ hold: true });
  await sites.copying(id);
  const { findings, probe, sample, strategies: [{ remarks }] } = await plan(sites);
  assert.deepEqual(findings.map(({ code }) => code), ["guest_moving", "guest_moving"]);
  assert.equal(probe!.source, "moves");
  assert.equal(probe!.sentBytes, 0);
  assert.equal(sample, null);
  assert.match(remarks.join("\n"), /not sampled/);
  await sites.a.switchover(id);
  await sites.assertArrives(id);
});

Deno.test("a plan passes on what the machine's own preflight finds", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  await sites.register("b", "incoming");
  const finding = {
    severity: "refusal" as const,
    code: "migration_blocked",
    message: "Cannot move: a device says no",
    hint: "Remove it",
  };
  sites.faults.at("a", "source.preflight", () => Promise.resolve([finding]));
  assert.deepEqual((await plan(sites)).findings, [finding]);
});

Deno.test("a machine that cannot be watched is forecast by its size, and the plan says why", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  await sites.register("b", "incoming");
  sites.faults.at("a", "sampleDirtyRate", () => Promise.reject(new Error("no eyes")));
  const { sample, strategies: [{ remarks, totalMs }] } = await plan(sites);
  assert.equal(sample, null);
  assert.match(remarks.join("\n"), /could not be watched: .*no eyes/);
  assert.ok(totalMs!.low > 0);
});

Deno.test("a plan for a peer that is away says so and forecasts at assumed rates", async () => {
  await using sites = await ReferenceSites.start();
  await sites.register("a", "source");
  await sites.sites.stopSite("b");
  sites.sites.breakPath("cut");
  const { findings, probe, destination, rate, strategies } = await plan(sites);
  assert.deepEqual(findings.map(({ severity, code }) => [severity, code]), [
    ["warning", "peer_unreachable"],
  ]);
  assert.deepEqual([probe, destination], [null, null]);
  assert.equal(rate.source, "assumed");
  assert.ok(strategies[0].totalMs!.low > 0);
  sites.sites.heal();
  await sites.sites.startSite("b");
});

Deno.test(
  "a plan of a real machine counts what its image takes, and leaves nothing in it",
  needs,
  async () => {
    await using sites = await KillableSites.start({ booted: false });
    await sites.incoming();
    const before = await sites.machine.migrationStatus();
    const api = await sites.a.api();
    const request = { guest: "vm", to: "b", seconds: 1 };
    const { findings, sample, destination, strategies } = await api.call<Plan>(
      "POST",
      "/plan",
      request,
    );
    assert.deepEqual(findings, []);
    const { allocatedBytes, sizeBytes } = (await api.call<GuestView>("GET", "/guests/vm"))
      .description!.disks[0];
    assert.ok(allocatedBytes! < sizeBytes, "the image is new and thin");
    assert.equal(sample!.memory.windows.length, 2);
    assert.ok(sample!.memory.zeroShare! > 0, "contents were looked at");
    assert.equal(destination!.description.runState, "incoming");
    const { wireBytes, totalMs, downtimeMs } = strategies[0];
    assert.ok(wireBytes!.low < 160 * MIB + sizeBytes / 2);
    assert.ok(totalMs!.low > 0 && downtimeMs!.low > 0);
    assert.equal(await sites.machine.migrationStatus(), before);
    await sites.machine.assertTidy();
  },
);
