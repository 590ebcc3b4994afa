import assert from "node:assert/strict";
import { ReferenceSites, type Site, SLOW_PATH, within } from "./support/reference_sites.ts";

const decision = (owner: Site, force = false) => ({
  owner,
  reason: "a's building is dark",
  force,
  by: "operator@b",
});

/** Both sites show who decided, when and why, and both ledgers have it. */
async function assertShown(sites: ReferenceSites, id: string, owner: Site): Promise<void> {
  for (const site of ["a", "b"] as const) {
    const { adjudication } = await sites.sites.until(
      site,
      id,
      (report) => report.adjudication !== null,
    );
    const { at, ...rest } = adjudication!;
    assert.deepEqual(rest, {
      owner,
      epoch: 3,
      by: "operator@b",
      reason: "a's building is dark",
    });
    assert.match(at, /^20\d\d-/);
    const { epoch, owner: recorded } = await sites[site].guest("g");
    assert.deepEqual({ epoch, recorded }, { epoch: 3, recorded: owner });
  }
}

/** The path is cut when the source has handed over and the destination does not have everything. */
async function doubtAtBoth(sites: ReferenceSites): Promise<string> {
  const applying = sites.faults.hold("b", "destination.sealDisks");
  sites.faults.at("a", "memory.finish", async (finish) => {
    await finish();
    sites.sites.breakPath("cut");
    applying.go();
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.sites.until("b", id, ({ state }) => state === "inDoubt");
  return id;
}

/** The destination has ended the machine that was to run there. */
async function givenUp(sites: ReferenceSites, id: string): Promise<void> {
  const abandoned = () => Promise.resolve(sites.events("b", id).includes("abandoned"));
  await within(
    10_000,
    "the end of the machine at b",
    (async () => {
      while (!await abandoned()) await sites.sites.clock.sleep(20);
    })(),
  );
}

Deno.test("a doubt is seen at both sites, and ends by itself when they can talk", async () => {
  await using sites = await ReferenceSites.start();
  const id = await doubtAtBoth(sites);
  assert.notEqual((await sites.a.guest("g")).runState, "running");
  assert.notEqual((await sites.b.guest("g")).runState, "running");
  sites.sites.heal();
  await sites.assertArrives(id);
  assert.equal(sites.a.migration(id).adjudication, null);
});

Deno.test("an operator at the destination gives a machine in doubt back; it runs at the source when that hears of it", async () => {
  await using sites = await ReferenceSites.start();
  const id = await doubtAtBoth(sites);
  await assert.rejects(
    () => sites.b.adjudicate(id, decision("b")),
    { code: "migration_state", message: /not whole at b/ },
  );
  await sites.b.adjudicate(id, decision("a"));
  await givenUp(sites, id);
  assert.equal((await sites.b.guest("g")).runState, "gone", "given up before the source hears");
  assert.notEqual((await sites.a.guest("g")).runState, "running");
  sites.sites.heal();
  await sites.sites.ended("a", id);
  await sites.assertRunsWhole("a");
  await assertShown(sites, id, "a");
  await sites.assertMovesNow();
});

Deno.test("a verdict of the destination's operator outlives both gateways", async () => {
  await using sites = await ReferenceSites.start();
  const id = await doubtAtBoth(sites);
  await sites.b.adjudicate(id, decision("a"));
  await givenUp(sites, id);
  await sites.sites.crashSite("b");
  await sites.sites.crashSite("a");
  sites.sites.heal();
  await sites.sites.startSite("a");
  await sites.sites.startSite("b");
  await sites.sites.ended("a", id);
  await sites.assertRunsWhole("a");
  await assertShown(sites, id, "a");
});

Deno.test("a machine that ended as it was started at the destination is a doubt at both, and can be given back there", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.start", async (start) => {
    await sites.killMachine("b");
    return await start();
  });
  const id = await sites.move();
  for (const site of ["a", "b"] as const) {
    const { machine } = await sites.sites.until(site, id, ({ state }) => state === "inDoubt");
    assert.notEqual(machine.runState, "running");
  }
  await sites.b.adjudicate(id, decision("a"));
  await sites.sites.ended("a", id);
  await sites.assertRunsWhole("a");
  await assertShown(sites, id, "a");
});

Deno.test("a destination that restarts without the machine that it owns hears the verdict of the source's operator", async () => {
  await using sites = await ReferenceSites.start();
  const crashed = Promise.withResolvers<void>();
  sites.faults.at("b", "destination.start", async () => {
    await sites.killMachine("b");
    void sites.sites.crashSite("b");
    crashed.resolve();
    return await new Promise(() => {});
  });
  const id = await sites.move();
  // Not when the call is reached: the next gateway would be the one that crashes.
  await within(20_000, "the crash", crashed.promise);
  await sites.sites.startSite("b");
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.a.adjudicate(id, { ...decision("a", true), by: "operator@a" });
  await sites.sites.ended("a", id);
  await sites.sites.until("b", id, ({ state }) => state === "conflict");
  assert.equal((await sites.b.guest("g")).owner, "a");
  await sites.assertRunsWhole("a");
});

Deno.test("a machine that runs at the destination is not given away there", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.start", async (start) => {
    await start();
    sites.sites.breakPath("cut");
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.assertRunsWhole("b");
  const refused = { code: "migration_state", message: /runs at b/ };
  await assert.rejects(() => sites.b.adjudicate(id, decision("a", true)), refused);
  sites.sites.heal();
  await sites.assertArrives(id);
});

Deno.test("the destination's operator keeps a machine that runs there; the source's own stands still and is kept", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.start", async (start) => {
    await start();
    sites.sites.breakPath("cut");
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.b.adjudicate(id, decision("b"));
  await sites.assertRunsWhole("b");
  sites.sites.heal();
  await sites.sites.ended("a", id);
  await sites.assertRunsWhole("b");
  await assertShown(sites, id, "b");
});

Deno.test("decided differently at both sites, the source's word counts and one machine runs", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.start", async (start) => {
    await start();
    sites.sites.breakPath("cut");
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.b.adjudicate(id, decision("b"));
  await sites.a.adjudicate(id, { ...decision("a"), by: "operator@a" });
  await sites.sites.ended("a", id);
  sites.sites.heal();
  await sites.sites.until("b", id, ({ state }) => state === "conflict");
  // Both ran until they could talk: each had its operator's word for it.
  sites.violations.length = 0;
  await sites.assertRunsWhole("a");
  for (const site of ["a", "b"] as const) {
    await sites.sites.until(site, id, ({ adjudication }) => adjudication?.by === "operator@a");
    assert.equal((await sites[site].guest("g")).owner, "a");
  }
});

Deno.test("a move that is not in doubt is not adjudicated at its destination", async () => {
  await using sites = await ReferenceSites.start(SLOW_PATH);
  const id = await sites.move();
  await sites.copying(id);
  await assert.rejects(() => sites.b.adjudicate(id, decision("a")), { code: "migration_state" });
  await assert.rejects(
    () => sites.b.adjudicate(id, { ...decision("a", true), by: "handover" }),
    { code: "request_invalid" },
  );
  await within(60_000, "the end", sites.assertArrives(id));
});
