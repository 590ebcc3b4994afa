import assert from "node:assert/strict";
import type { FenceRequest } from "../../src/gateway/fence.ts";
import { ReferenceSites } from "./support/reference_sites.ts";

const WORD = { owner: "a", reason: "b is dark", force: false, by: "operator@a" };

async function inDoubt(sites: ReferenceSites): Promise<string> {
  sites.faults.at("a", "memory.finish", async (finish) => {
    await finish();
    sites.sites.breakPath("cut");
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  return id;
}

Deno.test("a site's fence is called before a machine is started whose other side cannot be asked", async () => {
  await using sites = await ReferenceSites.start();
  const id = await inDoubt(sites);
  const requests: FenceRequest[] = [];
  let runState = "";
  sites.sites.fences.set("a", async (request) => {
    requests.push(request);
    runState = (await sites.a.guest("g")).runState;
    return { exitCode: 0, durationMs: 7, output: "b's power is off" };
  });
  await sites.a.adjudicate(id, WORD);
  const report = await sites.sites.ended("a", id);
  assert.equal(runState, "postmigrate", "it was started before it was fenced");
  const { owner: _, force: __, ...word } = WORD;
  const told = { version: 1, guest: "g", migration: id, epoch: 3, site: "a", other: "b", ...word };
  assert.deepEqual(requests, [told]);
  const decision = report.decisions.find(({ action }) => action === "fence");
  assert.match(decision!.reason, /b's power is off/);
  assert.deepEqual(decision!.numbers, { exitCode: 0, durationMs: 7 });
  const audited = sites.a.audit({ limit: 50 }).map(({ kind }) => kind).reverse();
  const order = ["fence_called", "fenced", "adjudicated"].map((kind) => audited.indexOf(kind));
  assert.ok(order.every((at, n) => at > (order[n - 1] ?? -1)), audited.join(" "));
  await sites.assertRunsWhole("a");
});

Deno.test("what is not fenced is not started: the machine stands still until the command says so", async () => {
  await using sites = await ReferenceSites.start();
  const id = await inDoubt(sites);
  const outcomes = [
    { exitCode: 1, durationMs: 5, output: "no answer of b's power switch" },
    { exitCode: null, durationMs: 30_000, output: "not ended within 30000 ms" },
  ];
  for (const outcome of outcomes) {
    sites.sites.fences.set("a", () => Promise.resolve(outcome));
    await assert.rejects(() => sites.a.adjudicate(id, WORD), (error: Error & { code: string }) => {
      assert.equal(error.code, "fence_failed");
      assert.ok(error.message.includes(outcome.output));
      return true;
    });
    assert.equal((await sites.a.guest("g")).runState, "postmigrate");
    assert.equal(sites.a.migration(id).state, "inDoubt");
    assert.equal(sites.a.migration(id).adjudication, null);
    assert.ok(!sites.events("a", id).includes("adjudicated"));
    const failed = sites.a.audit({ limit: 10 }).find(({ kind }) => kind === "fence_failed");
    assert.equal(failed?.body.output, outcome.output);
  }
  sites.sites.heal();
  await sites.sites.ended("a", id);
});

Deno.test("a doubt that ends while the fence works is not decided any more", async () => {
  await using sites = await ReferenceSites.start();
  const id = await inDoubt(sites);
  sites.sites.fences.set("a", async () => {
    sites.sites.heal();
    await sites.sites.ended("a", id);
    return { exitCode: 0, durationMs: 1, output: "" };
  });
  await assert.rejects(() => sites.a.adjudicate(id, WORD), { code: "migration_state" });
  await sites.assertArrives(id);
});

Deno.test("a machine that is given to the other site is not fenced: nothing is started here", async () => {
  await using sites = await ReferenceSites.start();
  const id = await inDoubt(sites);
  let isCalled = false;
  sites.sites.fences.set("a", () => {
    isCalled = true;
    return Promise.resolve({ exitCode: 1, durationMs: 1, output: "" });
  });
  await sites.a.adjudicate(id, { ...WORD, owner: "b" });
  assert.equal((await sites.sites.ended("a", id)).owner, "b");
  assert.equal(isCalled, false);
});
