import assert from "node:assert/strict";
import type { GuestDefinition } from "../../src/guest/definition.ts";
import { migrationOptions } from "../../src/migration/options.ts";
import { MemoryMeans, RuleWorld } from "../../src/testing/memory_means.ts";
import { machineDefinition, ReferenceSites, type Site, within } from "./support/reference_sites.ts";

const ADDRESS = { ip: "10.1.0.5", subnet: "10.1.0.0/24", gateway: "10.1.0.1" };
const RECONCILED_MS = 5_000;

/** Two gateways whose means work on two worlds of rules, and a machine with an address. */
class RedirectedSites implements AsyncDisposable {
  readonly worlds = { a: new RuleWorld(), b: new RuleWorld() };

  private constructor(readonly sites: ReferenceSites) {
    for (const site of ["a", "b"] as const) {
      sites.sites.means.set(site, () => [new MemoryMeans(this.worlds[site])]);
    }
  }

  static async start(): Promise<RedirectedSites> {
    return new RedirectedSites(await ReferenceSites.start());
  }

  definition(role: "source" | "incoming", ip = ADDRESS.ip): GuestDefinition {
    return {
      ...machineDefinition(role, { memoryMiB: 8, diskMiB: [4] }),
      addresses: [{ ...ADDRESS, ip }],
      redirect: {
        device: "br0",
        means: [{ kind: "kernel", device: "wan0", via: { ipv4: "192.0.2.2" } }],
        drain: { idleMs: 400, limitMs: null },
        probes: [{ kind: "tcp", port: 22 }],
        reachMs: 500,
      },
    };
  }

  async register(): Promise<void> {
    await this.sites.a.putGuest("g", this.definition("source"));
    await this.sites.b.putGuest("g", this.definition("incoming"));
  }

  async start(from: Site = "a", wishes: Record<string, unknown> = {}): Promise<string> {
    const to = from === "a" ? "b" : "a";
    const options = migrationOptions.parse({ maxDowntimeMs: 900, ...wishes });
    return (await this.sites[from].startMigration({ guest: "g", to, options })).id;
  }

  /** The view of a move's redirect at a site. */
  async view(site: Site, migration: string) {
    return (await this.sites[site].redirects()).find((each) => each.migration === migration)!;
  }

  async until(site: Site, migration: string, state: string): Promise<void> {
    const look = async () => {
      for (;;) {
        const view = await this.view(site, migration);
        if (view?.state === state && (view.settled || state === "failed")) return;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    await within(RECONCILED_MS, `the redirect is ${state} at ${site}`, look());
  }

  stages(site: Site): string {
    const { calls } = this.worlds[site];
    return calls.map(({ stage }) => stage).filter((each, n, all) => each !== all[n - 1]).join(" ");
  }

  rules(site: Site): string[] {
    return [...this.worlds[site].rules.values()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sites[Symbol.asyncDispose]();
  }
}

Deno.test("addresses are prepared before the pause, switched inside it, drained and given up", async () => {
  await using it = await RedirectedSites.start();
  await it.register();
  const told = new Set<string>();
  it.sites.a.onRedirect(({ state }) => told.add(state));
  let runStateInside = "";
  it.worlds.a.inside = async ({ stage }) => {
    if (stage === "redirecting") runStateInside = (await it.sites.a.guest("g")).runState;
  };
  const id = await it.start();
  await it.sites.assertArrives(id);
  assert.notEqual(runStateInside, "running");
  for (const site of ["a", "b"] as const) {
    await it.until(site, id, "draining");
    const [address] = (await it.view(site, id)).addresses;
    assert.equal(address.site, "b");
  }
  assert.deepEqual(it.rules("a"), ["old 10.1.0.5 through kernel"]);
  assert.deepEqual(it.rules("b"), ["new 10.1.0.5 through kernel"]);
  await it.until("a", id, "retired");
  assert.deepEqual([...told], ["prepared", "redirecting", "draining", "retired"]);
  for (const site of ["a", "b"] as const) {
    await it.until(site, id, "retired");
    assert.deepEqual(it.rules(site), []);
    assert.equal(it.stages(site), "prepared redirecting draining retired");
    const { history } = await it.view(site, id);
    const remarks = ["settled", "reached"];
    const kinds = history.map(({ kind }) => kind).filter((kind) => !remarks.includes(kind)).join(
      " ",
    );
    assert.equal(kinds, "preparing switched arrived retiring");
    assert.match(history.find(({ kind }) => kind === "retiring")!.detail!, /no packet for 400 ms/);
  }
});

Deno.test("a drain goes on as long as packets pass", async () => {
  await using it = await RedirectedSites.start();
  await it.register();
  const passing = setInterval(() => it.worlds.a.packets++, 50);
  try {
    const id = await it.start();
    await it.sites.assertArrives(id);
    await it.until("b", id, "retired");
    assert.equal((await it.view("a", id)).state, "draining");
    clearInterval(passing);
    await it.until("a", id, "retired");
  } finally {
    clearInterval(passing);
  }
});

Deno.test("a move that is cancelled leaves no rule and the address where it was", async () => {
  await using it = await RedirectedSites.start();
  await it.register();
  const id = await it.start("a", { hold: true });
  await it.sites.sites.until("a", id, ({ state }) => state === "holding");
  assert.equal((await it.view("a", id)).state, "prepared");
  await it.sites.a.cancel(id);
  await it.sites.sites.ended("a", id);
  for (const site of ["a", "b"] as const) {
    await it.until(site, id, "bound");
    assert.deepEqual(it.rules(site), []);
    assert.equal((await it.view(site, id)).addresses[0].site, "a");
  }
});

Deno.test("a redirect that cannot be prepared ends the move before a machine is touched", async () => {
  for (const [site, stage] of [["a", "check"], ["a", "prepared"], ["b", "prepared"]] as const) {
    await using it = await RedirectedSites.start();
    await it.register();
    it.worlds[site].failing.set(stage, `no device br0 at ${site}`);
    const id = await it.start();
    const report = await it.sites.sites.ended("a", id);
    assert.equal(report.state, "failed");
    assert.equal(report.error?.code, "redirect_failed");
    assert.match(report.error!.message, /no device br0/);
    await it.sites.assertRunsWhole("a");
    assert.deepEqual([...it.rules("a"), ...it.rules("b")], []);
  }
});

Deno.test("a redirect that cannot be switched lets the machine run on where it is", async () => {
  await using it = await RedirectedSites.start();
  await it.register();
  it.worlds.a.failing.set("redirecting", "the kernel refuses");
  const id = await it.start();
  await it.sites.assertStays(id, "redirect_failed");
  for (const site of ["a", "b"] as const) {
    await it.until(site, id, "bound");
    assert.deepEqual(it.rules(site), []);
  }
});

Deno.test("what cannot be removed is said, and tried until it is", async () => {
  await using it = await RedirectedSites.start();
  await it.register();
  it.worlds.a.failing.set("retired", "device busy");
  const id = await it.start();
  await it.sites.assertArrives(id);
  await it.until("a", id, "failed");
  assert.equal((await it.view("a", id)).problem, "device busy");
  it.worlds.a.failing.clear();
  await it.until("a", id, "retired");
  assert.deepEqual(it.rules("a"), []);
});

Deno.test("sites that do not redirect the same are refused before anything is touched", async () => {
  await using it = await RedirectedSites.start();
  await it.sites.a.putGuest("g", it.definition("source"));
  await it.sites.b.putGuest("g", it.definition("incoming", "10.1.0.6"));
  await assert.rejects(() => it.start(), { code: "redirect_mismatch", message: /10\.1\.0\.6/ });
  assert.deepEqual([...it.worlds.a.calls, ...it.worlds.b.calls], []);
});

Deno.test("an address that another machine has is refused at registration", async () => {
  await using it = await RedirectedSites.start();
  await it.register();
  await assert.rejects(
    () => it.sites.a.putGuest("other", it.definition("source")),
    { code: "address_conflict" },
  );
  assert.deepEqual((await it.sites.a.redirects()).map(({ guest, state }) => [guest, state]), [
    ["g", "bound"],
  ]);
});

Deno.test("a gateway that dies while packets lead away takes the address back when it restarts", async () => {
  await using it = await RedirectedSites.start();
  await it.register();
  const switched = Promise.withResolvers<void>();
  it.sites.faults.at("a", "memory.finish", () => {
    switched.resolve();
    return new Promise(() => {});
  });
  const id = await it.start();
  await within(20_000, "the switch", switched.promise);
  await within(
    2_000,
    "rules at a",
    (async () => {
      while (it.rules("a").length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    })(),
  );
  await it.sites.sites.crashSite("a");
  assert.deepEqual(it.rules("a"), ["old 10.1.0.5 through kernel"]);
  await it.sites.sites.startSite("a");
  await it.until("a", id, "bound");
  assert.deepEqual(it.rules("a"), []);
  await it.until("b", id, "bound");
  await it.sites.assertRunsWhole("a");
});

Deno.test("a gateway that dies while old flows drain sets its rules again when it restarts", async () => {
  for (const site of ["a", "b"] as const) {
    await using it = await RedirectedSites.start();
    await it.register();
    const passing = setInterval(() => {
      it.worlds.a.packets++;
      it.worlds.b.packets++;
    }, 50);
    try {
      const id = await it.start();
      await it.sites.assertArrives(id);
      await it.until(site, id, "draining");
      await it.sites.sites.crashSite(site);
      // What a kernel loses with the process that owned a device.
      it.worlds[site].rules.clear();
      await it.sites.sites.startSite(site);
      const side = site === "a" ? "old" : "new";
      await within(
        RECONCILED_MS,
        "rules again",
        (async () => {
          while (it.rules(site).length === 0) {
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        })(),
      );
      assert.deepEqual(it.rules(site), [`${side} 10.1.0.5 through kernel`]);
      clearInterval(passing);
      await it.until(site, id, "retired");
      assert.deepEqual(it.rules(site), []);
    } finally {
      clearInterval(passing);
    }
  }
});

Deno.test("a machine that comes home collapses what led to it", async () => {
  await using it = await RedirectedSites.start();
  await it.register();
  const passing = setInterval(() => {
    it.worlds.a.packets++;
    it.worlds.b.packets++;
  }, 50);
  try {
    const away = await it.start();
    await it.sites.assertArrives(away);
    await it.until("a", away, "draining");
    await it.sites.a.rollback(away);
    await it.sites.sites.until("a", away, ({ state }) => state === "rolledBack");
    await it.until("a", away, "retired");
    const { history } = await it.view("a", away);
    assert.equal(history.findLast(({ kind }) => kind === "retiring")!.detail, HOME);
    const back = (await it.sites.b.redirects()).find(({ side }) => side === "old")!.migration!;
    await it.until("a", back, "retired");
    assert.deepEqual(it.rules("a"), []);
    const [{ migration, addresses }] = await it.sites.a.redirects();
    assert.deepEqual([migration, addresses[0].site], [null, "a"]);
  } finally {
    clearInterval(passing);
  }
});
const HOME = "the machine runs here again";

Deno.test("the time without an answer is told beside the pause, from both sites", async () => {
  await using it = await RedirectedSites.start();
  await it.register();
  const runs = async (site: Site) => (await it.sites[site].guest("g")).runState === "running";
  for (const site of ["a", "b"] as const) {
    it.sites.sites.probes.set(site, async () => await runs("a") || await runs("b"));
  }
  const id = await it.start();
  await it.sites.assertArrives(id);
  for (const site of ["a", "b"] as const) {
    await it.until(site, id, "retired");
    const { reach, question } = await it.view(site, id);
    assert.equal(reach?.reached, true, site);
    assert.ok(reach.blackoutMs! > 0, `${reach.blackoutMs}`);
    assert.equal(question, null);
  }
});

/** A move after which nothing reaches the machine from a. */
async function unreached(it: RedirectedSites): Promise<string> {
  await it.register();
  let isAway = false;
  it.sites.sites.probes.set("a", () => Promise.resolve(!isAway));
  it.worlds.a.inside = ({ stage }) => Promise.resolve(void (isAway ||= stage === "redirecting"));
  const id = await it.start();
  await it.sites.assertArrives(id);
  await within(
    RECONCILED_MS,
    "the question",
    (async () => {
      while ((await it.view("a", id)).question === null) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    })(),
  );
  const { question, reach, state } = await it.view("a", id);
  assert.match(question!.text, /g runs at b .*tcp 10\.1\.0\.5:22.*keep it.*bring it back/);
  assert.deepEqual(reach!.missing, ["tcp 10.1.0.5:22"]);
  assert.equal(state, "draining");
  return id;
}

Deno.test("a machine that is not reached is brought back when the operator says so", async () => {
  await using it = await RedirectedSites.start();
  const id = await unreached(it);
  // Longer than a drain: it waits for the answer.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  assert.equal((await it.view("a", id)).state, "draining");
  await it.sites.a.answerRedirect(id, { keep: false, by: "operator@a" });
  await it.sites.sites.until("a", id, ({ state }) => state === "rolledBack");
  await it.until("a", id, "retired");
  await it.sites.assertRunsWhole("a");
  await assert.rejects(
    () => it.sites.a.answerRedirect(id, { keep: true, by: "operator@a" }),
    { code: "no_question" },
  );
});

Deno.test("a machine that is not reached stays when the operator says so, also after a restart", async () => {
  await using it = await RedirectedSites.start();
  const id = await unreached(it);
  await it.sites.sites.stopSite("a");
  await it.sites.sites.startSite("a");
  assert.notEqual((await it.view("a", id)).question, null);
  await it.sites.a.answerRedirect(id, { keep: true, by: "operator@a" });
  await it.until("a", id, "retired");
  const { history } = await it.view("a", id);
  assert.equal(history.find(({ kind }) => kind === "answered")?.detail, "keep, by operator@a");
  await it.sites.assertRunsWhole("b");
});

Deno.test("a machine that names no addresses leaves nothing in either ledger", async () => {
  await using it = await RedirectedSites.start();
  const id = await it.sites.move();
  await it.sites.assertArrives(id);
  assert.deepEqual(await it.sites.a.redirects(), []);
  assert.deepEqual([...it.worlds.a.calls, ...it.worlds.b.calls], []);
});
