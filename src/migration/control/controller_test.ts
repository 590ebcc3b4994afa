import assert from "node:assert/strict";
import type { Action } from "./action.ts";
import { Controller } from "./controller.ts";
import type { Measurement } from "./measurement.ts";
import { disk, measurement, memory, path, wishes } from "./testing/measurements.ts";
import type { Wishes } from "./wishes.ts";

const kinds = (actions: readonly Action[]) => actions.map(({ kind }) => kind);

/** Ticks ten times a second; what is measured may depend on the time. */
class Drive {
  readonly controller = new Controller();
  nowMs = 0;

  run(
    seconds: number,
    parts: (atMs: number) => Partial<Measurement>,
    wish: Partial<Wishes> = {},
  ) {
    const actions: Action[] = [];
    const untilMs = this.nowMs + seconds * 1000;
    let tick = this.controller.tick(measurement(this.nowMs, parts(this.nowMs)), wishes(wish));
    actions.push(...tick.actions);
    for (this.nowMs += 100; this.nowMs < untilMs; this.nowMs += 100) {
      tick = this.controller.tick(measurement(this.nowMs, parts(this.nowMs)), wishes(wish));
      actions.push(...tick.actions);
    }
    return { ...tick, actions };
  }
}

const FIRST = { stage: "firstRound", memory: null } as const;
const DISKS = { stage: "disks", memory: null } as const;
/** More than a budget of 300 ms lets through, and as much again all the time. */
const stuck = (atMs: number): Partial<Measurement> => ({
  memory: memory({
    pass: 3 + atMs / 100,
    parkedWireBytes: 30e6,
    dirtyBytesPerSecond: 50e6,
    wireRatio: 0.5,
  }),
  appliedWireBytes: atMs * 10_000,
  sentWireBytes: atMs * 10_000,
});

Deno.test("nothing but the cap is decided in the first round of the disks", () => {
  const drive = new Drive();
  const { actions, status, isHolding } = drive.run(3, () => FIRST, { rate: 2e6, hold: true });
  assert.deepEqual(kinds(actions), ["rate"]);
  assert.equal(status, "copying the disks");
  assert.equal(isHolding, false);
});

Deno.test("memory is started once, and the switch is asked for once", () => {
  const drive = new Drive();
  const disks = drive.run(3, () => DISKS);
  assert.deepEqual(kinds(disks.actions), ["startMemory"]);
  assert.ok(disks.leadMs! > 1_000);
  const first = drive.run(2, () => ({ memory: memory({ pass: 1, remainingBytes: 200e6 }) }));
  assert.deepEqual(first.actions, []);
  assert.match(first.status, /copying memory, first pass/);
  const step = drive.run(3, () => ({}));
  assert.deepEqual(kinds(step.actions), ["switch"]);
  const { numbers } = step.actions[0];
  assert.equal(numbers.budgetMs, 300);
  assert.ok(step.actions[0].kind === "switch" && !step.actions[0].isForced);
  assert.equal(numbers.predictedDowntimeMs! - numbers.budgetedMs!, 50);
});

Deno.test("a hold keeps everything in step and says so with the pause that it would take", () => {
  const drive = new Drive();
  const { actions, isHolding, status, forecast } = drive.run(20, () => ({}), { hold: true });
  assert.deepEqual(actions, []);
  assert.equal(isHolding, true);
  assert.match(status, /in step, waiting for a word: the pause takes \d+ ms of the 300 ms budget/);
  assert.ok(forecast.budgetedMs > 90);
  assert.deepEqual(kinds(drive.run(1, () => ({}), { hold: true, switchNow: true }).actions), [
    "switch",
  ]);
});

Deno.test("the word switches whatever the pause takes, but not before the link is there", () => {
  const drive = new Drive();
  drive.run(2, stuck);
  const silent = (atMs: number) => ({ ...stuck(atMs), path: path({ silentMs: 5_000 }) });
  const waiting = drive.run(3, silent, { switchNow: true });
  assert.deepEqual(waiting.actions, []);
  assert.match(waiting.status, /waiting for the link, silent for 5000 ms/);
  const there = drive.run(3, stuck, { switchNow: true });
  assert.deepEqual(kinds(there.actions), ["switch"]);
  assert.match(there.actions[0].reason, /the word to switch was given, whatever the pause takes/);
  assert.ok(there.actions[0].numbers.budgetedMs! > 300);
  assert.ok(there.actions[0].kind === "switch" && there.actions[0].isForced);
});

Deno.test("a load that the link cannot carry is slowed, step by step, never in an outage", () => {
  const drive = new Drive();
  const wish = { whenOver: ["throttleCpu", "giveUp"] } as const;
  const begun = drive.run(12, stuck, wish);
  assert.deepEqual(kinds(begun.actions), ["throttleCpu"]);
  assert.match(begun.actions[0].reason, /writes \d+ MB\/s that have to cross, the link carries/);
  const down = (atMs: number) => ({ ...stuck(atMs), isLinkUp: false });
  assert.deepEqual(drive.run(300, down, wish).actions, []);
  const back = drive.run(8, stuck, wish);
  assert.ok(back.actions.length <= 1, "not more than a step for the seconds that it was there");
});

Deno.test("each step is judged by what comes after it, and what shrinks is left to", () => {
  const drive = new Drive();
  const wish = { whenOver: ["throttleCpu"] } as const;
  assert.deepEqual(kinds(drive.run(7, stuck, wish).actions), ["throttleCpu"]);
  const fromMs = drive.nowMs;
  const shrinking = (atMs: number) => ({
    ...stuck(atMs),
    memory: memory({
      pass: 3 + atMs / 100,
      parkedWireBytes: 30e6 - 1_500 * (atMs - fromMs),
      dirtyBytesPerSecond: 14e6,
    }),
  });
  const { actions, convergence, status } = drive.run(15, shrinking, wish);
  assert.deepEqual(actions, []);
  assert.equal(convergence.verdict, "converging");
  assert.match(status, /processor slowed by \d+ %: the pause would take/);
});

Deno.test("a slowed link is not taken for a machine that writes too much", () => {
  const drive = new Drive();
  const wish = { whenOver: ["throttleCpu"] } as const;
  // At 10 MB/s it would shrink.
  const at = (bottleneck: number) => (atMs: number) => ({
    ...stuck(atMs),
    memory: memory({ pass: 3 + atMs / 100, parkedWireBytes: 30e6, dirtyBytesPerSecond: 4e6 }),
    path: path({ bottleneckBytesPerSecond: bottleneck }),
    appliedWireBytes: atMs * bottleneck / 1000,
    sentWireBytes: atMs * bottleneck / 1000,
  });
  drive.run(2, at(10e6), wish);
  const slowed = drive.run(15, at(1e6), wish);
  assert.deepEqual(slowed.actions, []);
  assert.match(slowed.convergence.reason, /far less than a moment ago/);
  assert.deepEqual(kinds(drive.run(30, at(1e6), wish).actions).slice(0, 1), ["throttleCpu"]);
});

Deno.test("an undone switch is tried again later, with what had been done done again", () => {
  const drive = new Drive();
  const wish = { whenOver: ["throttleCpu"] } as const;
  drive.run(7, stuck, wish);
  const idle = drive.run(4, () => ({}), wish);
  assert.deepEqual(kinds(idle.actions), ["switch"]);
  assert.deepEqual(drive.run(1, () => ({}), wish).actions, [], "nothing while it is asked for");
  drive.controller.switchUndone(drive.nowMs, 900);
  const again = drive.run(1.5, () => ({}), wish);
  assert.deepEqual(kinds(again.actions), ["throttleCpu"]);
  assert.equal(again.forecast.workMs, 90);
  assert.deepEqual(kinds(drive.run(5, () => ({}), wish).actions), ["switch"]);
});

Deno.test("a refused question ends the move where that is what follows", () => {
  const drive = new Drive();
  const wish = { whenOver: ["ask", "giveUp"] } as const;
  assert.deepEqual(kinds(drive.run(30, stuck, wish).actions), ["ask"]);
  drive.controller.questionRefused();
  const { actions } = drive.run(30, stuck, wish);
  assert.deepEqual(kinds(actions), ["withdrawQuestion", "giveUp"]);
  assert.deepEqual(drive.run(5, stuck, wish).actions, [], "that was the last word");
});

Deno.test("a hold parks memory after its time, and takes back what was done for the switch", () => {
  const drive = new Drive();
  const wish = { whenOver: ["throttleDisks"] } as const;
  const busyDisk = (atMs: number): Partial<Measurement> => ({
    memory: memory({ pass: 3 + atMs / 100 }),
    disks: [disk({ dirtyBytes: 40e6, dirtyBytesPerSecond: 30e6 })],
    appliedWireBytes: atMs * 10_000,
    sentWireBytes: atMs * 10_000,
  });
  assert.deepEqual(kinds(drive.run(8, busyDisk, wish).actions), ["throttleDisks"]);
  const held = drive.run(20, () => ({}), { ...wish, hold: true, holdMemoryMs: 5_000 });
  assert.deepEqual(kinds(held.actions), ["throttleDisks", "parkMemory"]);
  const parked = drive.run(5, () => DISKS, { ...wish, hold: true, holdMemoryMs: 5_000 });
  assert.deepEqual(parked.actions, []);
  assert.equal(parked.isHolding, true);
  assert.match(parked.status, /disks in step, waiting for a word; memory starts with it/);
  assert.ok(parked.leadMs! > 0);
});

Deno.test("a cap that is wished during an outage comes into force, and nothing else does", () => {
  const drive = new Drive();
  const { actions } = drive.run(5, () => ({ isLinkUp: false }), { rate: 3e6 });
  assert.deepEqual(kinds(actions), ["rate"]);
});

Deno.test("under Clark's rule the pause goes at full speed, in the tick of the switch", () => {
  const drive = new Drive();
  const rate = {
    policy: "clark",
    minBytesPerSecond: 1e6,
    maxBytesPerSecond: 8e6,
    incrementBytesPerSecond: 1e6,
  } as const;
  const { actions } = drive.run(4, () => ({}), { rate });
  const at = actions.findIndex(({ kind }) => kind === "switch");
  const before = actions[at - 1];
  assert.ok(before.kind === "rate" && before.bytesPerSecond === 8e6);
});
