import assert from "node:assert/strict";
import { ReferenceSites, SLOW_PATH, within } from "./support/reference_sites.ts";

/** The design's promise for a gateway that its service restarts at once. */
const RUNS_AGAIN_MS = 5_000;

/** Where a source gateway dies, by the call to its machine during which it does. */
const SOURCE_CRASHES = [
  { where: "while it prepares the machine", at: "source.begin" },
  { where: "at the gate, machine paused", at: "memory.pauseAtGate" },
  { where: "in the last disk round", at: "source.beginDiskRound", after: "memory.pauseAtGate" },
  { where: "while the machine gives its state away", at: "memory.items", after: "memory.finish" },
  { where: "with the state given away and no record of a hand-over", at: "memory.finish" },
];

for (const { where, at, after } of SOURCE_CRASHES) {
  Deno.test(`a source gateway that dies ${where} leaves the machine running here`, async () => {
    await using sites = await ReferenceSites.start();
    const reached = crashDuring(sites, "a", at, after);
    const id = await sites.move();
    await within(20_000, `the crash ${where}`, reached);
    const diedAtMs = performance.now();
    await sites.sites.startSite("a");
    assert.equal((await sites.a.guest("g")).runState, "running");
    const pausedMs = performance.now() - diedAtMs;
    assert.ok(pausedMs < RUNS_AGAIN_MS, `it took ${pausedMs} ms`);
    assert.ok(!sites.events("a", id).includes("handoverWritten"));
    await sites.assertStays(id, "gateway_restarted");
  });
}

Deno.test("a source gateway that dies with its hand-over written and unsent asks, and resumes on the refusal", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("a", "memory.finish", async (finish) => {
    await finish();
    sites.sites.breakPath("cut");
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.sites.crashSite("a");
  await sites.sites.startSite("a");
  const doubt = await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  assert.deepEqual(doubt.machine, { site: "a", runState: "paused" });
  assert.equal((await sites.a.guest("g")).runState, "postmigrate", "nobody may run it yet");
  sites.sites.heal();
  await sites.assertStays(id, "handover_refused");
  await sites.assertMovesNow();
});

Deno.test("a source gateway that dies after its hand-over arrived finds the machine running there", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.start", async (start) => {
    await sites.sites.crashSite("a");
    await start();
  });
  const id = await sites.move();
  await sites.sites.until("b", id, ({ state }) => state === "completed");
  await sites.sites.startSite("a");
  const report = await sites.sites.ended("a", id);
  assert.equal(report.state, "completed");
  assert.ok(report.downtimeMs! > 0);
  await sites.assertRunsWhole("b");
});

Deno.test("a destination gateway that dies while copying ends the move, and its machine with it", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move();
  await sites.copying(id);
  await sites.sites.crashSite("b");
  await sites.sites.startSite("b");
  await sites.sites.ended("a", id);
  await sites.assertRunsWhole("a");
  assert.equal((await sites.b.guest("g")).runState, "gone");
});

Deno.test("a destination gateway that dies between loading and its owner record refuses, the source resumes", async () => {
  await using sites = await ReferenceSites.start();
  const reached = crashDuring(sites, "b", "destination.load");
  const id = await sites.move();
  await within(20_000, "the crash", reached);
  await sites.sites.startSite("b");
  const report = await sites.sites.ended("a", id);
  assert.equal(report.state, "failed");
  assert.equal(report.error?.code, "gateway_restarted");
  assert.ok(sites.events("a", id).includes("refusedByPeer"));
  await sites.assertRunsWhole("a");
  assert.equal((await sites.b.guest("g")).runState, "gone");
  await sites.assertMovesNow();
});

for (const when of ["before", "after"] as const) {
  Deno.test(`a destination gateway that dies right ${when} it starts the machine it owns runs it once it is back`, async () => {
    await using sites = await ReferenceSites.start();
    const reached = when === "after"
      ? crashDuring(sites, "b", "destination.start")
      : sites.faults.at("b", "destination.start", () => {
        void sites.sites.crashSite("b");
        return new Promise(() => {});
      });
    const id = await sites.move();
    await within(20_000, "the crash", reached);
    assert.ok(sites.events("b", id).includes("owned"));
    const diedAtMs = performance.now();
    await sites.sites.startSite("b");
    assert.equal((await sites.b.guest("g")).runState, "running");
    assert.ok(performance.now() - diedAtMs < RUNS_AGAIN_MS);
    await sites.assertArrives(id);
    const back = await sites.sites.ended("b", id);
    assert.equal(back.state, "completed");
    assert.equal((await sites.b.guest("g")).role, "source", "it can leave again");
  });
}

Deno.test("both gateways die in the middle of a hand-over, and one machine runs when they are back", async () => {
  await using sites = await ReferenceSites.start();
  const reached = crashDuring(sites, "b", "destination.sealDisks");
  const id = await sites.move();
  await within(20_000, "the crash", reached);
  await sites.sites.crashSite("a");
  await sites.sites.startSite("a");
  assert.equal((await sites.a.guest("g")).runState, "postmigrate");
  await sites.sites.startSite("b");
  await sites.sites.ended("a", id);
  await sites.assertRunsWhole("a");
});

Deno.test("a machine that runs at a destination without a record that it may is stopped and shown", async () => {
  await using sites = await ReferenceSites.start();
  const reached = crashDuring(sites, "b", "destination.load");
  const id = await sites.move();
  await within(20_000, "the crash", reached);
  // Somebody starts the loaded machine by hand while no gateway is there to know better.
  await sites.sites.breakPath("cut");
  await sites.startLoadedMachine("b");
  await sites.sites.startSite("b");
  const shown = await sites.sites.until("b", id, ({ state }) => state === "conflict");
  assert.match(shown.phase, /without a record/);
  assert.equal((await sites.b.guest("g")).runState, "paused", "stopped, not ended");
  assert.equal((await sites.a.guest("g")).runState, "postmigrate");
  assert.ok(sites.sites.log.some((line) => /^b error .*conflict/.test(line)), "no alarm");
});

/**
 * The gateway of `site` dies when its machine has done `at` (after a first call of `after`).
 *
 * @returns resolves when it is dead
 */
function crashDuring(
  sites: ReferenceSites,
  site: "a" | "b",
  at: string,
  after?: string,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const arm = () =>
    void sites.faults.at(site, at, async (call) => {
      const done = await call();
      sites.sites.crashSite(site).then(resolve, reject);
      return done;
    });
  if (after === undefined) arm();
  else {
    void sites.faults.at(site, after, async (call) => {
      arm();
      return await call();
    });
  }
  return promise;
}
