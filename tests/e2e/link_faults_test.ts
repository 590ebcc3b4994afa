import assert from "node:assert/strict";
import type { DiskRound } from "../../src/guest/guest.ts";
import { ReferenceSites } from "./support/reference_sites.ts";

/** Silence is noticed after a second; what follows from it takes no time. */
const NOTICED_MS = 5_000;

Deno.test("a link that falls silent during the last disk round undoes the switch, and the move goes on", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("a", "memory.pauseAtGate", async (pause) => {
    const paused = await pause();
    sites.sites.breakPath("silent");
    // The round has more than a silent link takes: it does not come to its end.
    sites.faults.at(
      "a",
      "source.beginDiskRound",
      async (begin) =>
        (await begin() as DiskRound[]).map((round) => ({
          diskId: round.diskId,
          extents: [{ offsetBytes: 0, lengthBytes: 4096, kind: "data" }],
          read: () => new Promise(() => {}),
          finish: (kept: boolean) => round.finish(kept),
        })),
    );
    return paused;
  });
  await assertSwitchUndone(sites, await sites.move());
});

Deno.test("a link that falls silent during the device state undoes the switch, and the move goes on", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("a", "memory.finish", () => {
    sites.sites.breakPath("silent");
    return new Promise(() => {});
  });
  await assertSwitchUndone(sites, await sites.move());
});

Deno.test("a link that falls silent while a confirmed hand-over waits undoes the switch", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("a", "memory.finish", async (finish) => {
    sites.sites.breakPath("silent");
    await finish();
  });
  const id = await sites.move({ handover: "confirmed" });
  await assertSwitchUndone(sites, id);
});

/** The machine pauses, runs again while the link is silent, and moves when the link is back. */
async function assertSwitchUndone(sites: ReferenceSites, id: string): Promise<void> {
  await sites.sites.until("a", id, ({ machine }) => machine.runState === "paused");
  const undone = await sites.sites.until(
    "a",
    id,
    ({ state, machine }) => state === "copying" && machine.runState === "running",
    NOTICED_MS,
  );
  assert.ok(undone.decisions.some(({ action }) => action === "undo the switch"));
  assert.equal((await sites.a.guest("g")).runState, "running");
  assert.ok(!sites.events("a", id).includes("handoverWritten"));
  sites.sites.heal();
  await sites.assertArrives(id);
}

for (const kind of ["cut", "silent"] as const) {
  Deno.test(`a link that is ${kind} right after the hand-over leaves a doubt that ends by itself`, async () => {
    await using sites = await ReferenceSites.start();
    sites.faults.at("a", "memory.finish", async (finish) => {
      await finish();
      sites.sites.breakPath(kind);
    });
    const id = await sites.move();
    const doubt = await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
    assert.deepEqual(doubt.machine, { site: "a", runState: "paused" });
    assert.equal(doubt.owner, "a");
    assert.equal((await sites.a.guest("g")).runState, "postmigrate");
    assert.equal((await sites.b.guest("g")).runState, "incoming");
    for (const action of ["cancel", "rollback", "switchover", "hold"] as const) {
      await assert.rejects(() => sites.a[action](id), { name: "GatewayError" }, action);
    }
    sites.sites.heal();
    await sites.assertArrives(id);
  });
}

Deno.test("an answer that is lost after the machine started leaves a doubt, not a second machine", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.start", async (start) => {
    await start();
    sites.sites.breakPath("cut");
  });
  const id = await sites.move();
  await sites.sites.until("a", id, ({ state }) => state === "inDoubt");
  await sites.assertRunsWhole("b");
  assert.equal((await sites.a.guest("g")).runState, "postmigrate");
  sites.sites.heal();
  await sites.assertArrives(id);
});

Deno.test("a destination whose source falls silent once it runs the machine says completed by itself", async () => {
  await using sites = await ReferenceSites.start();
  sites.faults.at("b", "destination.start", async (start) => {
    await start();
    sites.sites.breakPath("silent");
  });
  const id = await sites.move();
  const report = await sites.sites.until("b", id, ({ state }) => state === "completed");
  assert.deepEqual(report.machine, { site: "b", runState: "running" });
  sites.sites.heal();
  await sites.assertArrives(id);
});

Deno.test("an outage in the middle of the copy costs its length and nothing else", async () => {
  await using sites = await ReferenceSites.start({ delayMs: 5, bytesPerSecond: 6_000_000 });
  const id = await sites.move();
  await sites.copying(id);
  sites.sites.breakPath("silent");
  await sites.sites.until("a", id, () => sites.a.peers()[0].path.silentMs! > 1_500);
  assert.equal(sites.a.migration(id).state, "copying");
  sites.sites.heal();
  await sites.assertArrives(id);
});

Deno.test("a switch that an operator asks for during an outage waits for the link, machine running", async () => {
  await using sites = await ReferenceSites.start();
  const id = await sites.move({ hold: true });
  await sites.sites.until("a", id, ({ state }) => state === "holding");
  sites.sites.breakPath("cut");
  await sites.sites.until("a", id, () => sites.a.peers()[0].path.silentMs! > 1_500);
  await sites.a.switchover(id);
  // Two more looks at the decision have passed when two reports did.
  const later = sites.a.migration(id).totalMs! + 1_000;
  await sites.sites.until("a", id, ({ totalMs }) => totalMs! > later);
  assert.equal((await sites.a.guest("g")).runState, "running");
  assert.ok(!sites.events("a", id).includes("switchBegan"), "the machine was paused for nothing");
  sites.sites.heal();
  await sites.assertArrives(id);
});
