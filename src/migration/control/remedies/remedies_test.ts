import assert from "node:assert/strict";
import type { Action, Convergence } from "../action.ts";
import { disk, measurement, memory, wishes } from "../testing/measurements.ts";
import type { Remedy } from "../wishes.ts";
import { Remedies } from "./remedies.ts";
import type { RemedyInput } from "./remedy.ts";

/** A machine that writes twice what a link of 10 MB/s carries, half of it to its disk. */
function input(parts: Partial<RemedyInput> & { whenOver?: readonly Remedy[] } = {}): RemedyInput {
  const { whenOver = ["wait"], ...rest } = parts;
  return {
    judgedMs: 60_000,
    measured: measurement(60_000, {
      memory: memory(),
      disks: [disk({ dirtyBytesPerSecond: 20e6, dirtyBytes: 60e6 })],
    }),
    wishes: wishes({ whenOver }),
    convergence: verdict("notConverging"),
    badForMs: 0,
    goodputBytesPerSecond: 10e6,
    dirtyMemoryBytesPerSecond: 10e6,
    dirtyDiskBytesPerSecond: 10e6,
    budgetedMs: 4_000,
    leastBudgetedMs: 3_000,
    ...rest,
  };
}

function verdict(kind: Convergence["verdict"], fitBytes = 2e6): Convergence {
  const numbers = { waitingBytes: 40e6, fitBytes, dirtyBytesPerSecond: 20e6 };
  return { verdict: kind, reason: "it writes too much", numbers };
}

const kinds = (actions: readonly Action[]) => actions.map(({ kind }) => kind);

Deno.test("nothing is done about a copy that converges, or that nothing is known of", () => {
  for (const kind of ["converging", "unknown"] as const) {
    const remedies = new Remedies();
    const all = input({
      convergence: verdict(kind),
      whenOver: ["throttleDisks", "throttleCpu", "ask", "giveUp"],
      badForMs: 1e6,
    });
    assert.deepEqual(remedies.decide(all), []);
    assert.equal(remedies.status, null);
  }
});

Deno.test("waiting does nothing, for as long as it takes", () => {
  const remedies = new Remedies();
  assert.deepEqual(remedies.decide(input({ whenOver: ["wait", "giveUp"], badForMs: 1e7 })), []);
});

Deno.test("disks are slowed to what the link carries beside memory, raw", () => {
  const remedies = new Remedies();
  const half = { dirtyMemoryBytesPerSecond: 3e6 };
  const [action] = remedies.decide(input({ whenOver: ["throttleDisks"], ...half }));
  assert.equal(action.kind, "throttleDisks");
  // 0.8 of 10 MB/s less 3 are 5 on the wire, 10 raw at a ratio of 0.5.
  assert.equal(action.kind === "throttleDisks" && action.bytesPerSecond, 10e6);
  assert.match(action.reason, /slowed to 10 MB\/s: it writes too much/);
  assert.match(remedies.status!, /disk writes slowed/);
});

Deno.test("disks that are no part of the trouble are left alone, and the next remedy is taken", () => {
  const few = { dirtyDiskBytesPerSecond: 0.5e6 };
  const whenOver = ["throttleDisks", "throttleCpu"] as const;
  assert.deepEqual(kinds(new Remedies().decide(input({ whenOver, ...few }))), ["throttleCpu"]);
  const cannot = measurement(0, { canThrottleDisks: false });
  assert.deepEqual(kinds(new Remedies().decide(input({ whenOver, measured: cannot }))), [
    "throttleCpu",
  ]);
});

Deno.test("a cap on disks is tightened down to a floor, then the next remedy has its turn", () => {
  const remedies = new Remedies();
  const caps = [];
  for (;;) {
    const [action] = remedies.decide(input({ whenOver: ["throttleDisks", "ask"] }));
    if (action.kind !== "throttleDisks") {
      assert.equal(action.kind, "ask");
      break;
    }
    caps.push(action.bytesPerSecond!);
  }
  assert.ok(caps.length >= 1);
  for (let index = 1; index < caps.length; index++) assert.ok(caps[index] < caps[index - 1]);
  // A tenth of the link on the wire.
  assert.equal(caps.at(-1), 2e6);
});

Deno.test("a cap on disks goes when the machine writes little by itself for a while", () => {
  const remedies = new Remedies();
  const few = { dirtyMemoryBytesPerSecond: 1e6 };
  const whenOver = ["throttleDisks"] as const;
  remedies.decide(input({ whenOver, ...few }));
  const calm = (judgedMs: number, dirtyBytes = 0) =>
    remedies.decide(input({
      judgedMs,
      whenOver,
      measured: measurement(judgedMs, { disks: [disk({ dirtyBytesPerSecond: 1e5, dirtyBytes })] }),
      convergence: verdict("converging"),
    }));
  assert.deepEqual(calm(61_000), []);
  assert.deepEqual(calm(70_000), []);
  const [lifted] = calm(71_100);
  assert.equal(lifted.kind === "throttleDisks" && lifted.bytesPerSecond, null);
  assert.deepEqual(calm(72_000), [], "once");
  // Much that is dirty hides what is written again: that is no calm.
  remedies.decide(input({ whenOver, ...few }));
  for (let atMs = 80_000; atMs < 120_000; atMs += 1_000) assert.deepEqual(calm(atMs, 200e6), []);
});

Deno.test("a cap on disks follows a link that carries much more", () => {
  const remedies = new Remedies();
  const whenOver = ["throttleDisks"] as const;
  remedies.decide(input({ whenOver, dirtyMemoryBytesPerSecond: 3e6 }));
  const faster = (goodputBytesPerSecond: number) =>
    remedies.decide(
      input({ whenOver, goodputBytesPerSecond, convergence: verdict("converging") }),
    );
  assert.deepEqual(faster(12e6), []);
  const [action] = faster(20e6);
  assert.equal(action.kind === "throttleDisks" && action.bytesPerSecond, 20e6);
});

Deno.test("a cap on disks goes when the operator does not want it any more", () => {
  const remedies = new Remedies();
  remedies.decide(input({ whenOver: ["throttleDisks"] }));
  const [action] = remedies.decide(input({ whenOver: ["wait"] }));
  assert.equal(action.kind === "throttleDisks" && action.bytesPerSecond, null);
});

Deno.test("the processor is slowed in proportion, then step by step, up to 0.99", () => {
  const remedies = new Remedies();
  const shares: number[] = [];
  for (let step = 0; step < 20; step++) {
    for (const action of remedies.decide(input({ whenOver: ["throttleCpu"] }))) {
      assert.equal(action.kind, "throttleCpu");
      if (action.kind === "throttleCpu") shares.push(action.share);
    }
  }
  // 20 MB/s have to become 8.
  assert.equal(shares[0], 0.6);
  for (let step = 1; step < shares.length; step++) assert.ok(shares[step] > shares[step - 1]);
  assert.equal(shares.at(-1), 0.99);
});

Deno.test("the first step of the processor is one that shows", () => {
  const little = { dirtyMemoryBytesPerSecond: 8.1e6, dirtyDiskBytesPerSecond: 0 };
  const [action] = new Remedies().decide(input({ whenOver: ["throttleCpu"], ...little }));
  assert.equal(action.kind === "throttleCpu" && action.share, 0.2);
});

Deno.test("no machine is slowed for a budget that is shorter than the hand-over", () => {
  const remedies = new Remedies();
  const whenOver = ["throttleDisks", "throttleCpu", "ask"] as const;
  const beyond = input({ whenOver, convergence: verdict("notConverging", -1e5) });
  assert.deepEqual(kinds(remedies.decide(beyond)), ["ask"]);
});

Deno.test("a question is put once, with a number above the least pause, and stays open", () => {
  const remedies = new Remedies();
  const [action] = remedies.decide(input({ whenOver: ["ask", "giveUp"], badForMs: 1e6 }));
  assert.ok(action.kind === "ask");
  // 3000 ms and 15 %, and 20 ms.
  assert.equal(action.question.wantedDowntimeMs, 3_470);
  assert.match(action.reason, /3470 ms would let the machine switch, 300 ms do not/);
  assert.deepEqual(remedies.decide(input({ whenOver: ["ask", "giveUp"], badForMs: 1e6 })), []);
  assert.match(remedies.status!, /waiting for an answer/);
});

Deno.test("a refused question gives the turn to the next remedy, until the budget grows", () => {
  const remedies = new Remedies();
  const whenOver = ["ask", "throttleCpu"] as const;
  remedies.decide(input({ whenOver }));
  remedies.refuse();
  assert.deepEqual(kinds(remedies.decide(input({ whenOver }))), [
    "withdrawQuestion",
    "throttleCpu",
  ]);
  const larger = { ...wishes({ whenOver, maxDowntimeMs: 600 }) };
  assert.deepEqual(kinds(remedies.decide(input({ wishes: larger }))), ["ask"]);
});

Deno.test("a larger budget answers a question, and one that is not enough brings the next", () => {
  const remedies = new Remedies();
  const whenOver = ["ask"] as const;
  remedies.decide(input({ whenOver }));
  const larger = wishes({ whenOver, maxDowntimeMs: 2_000 });
  const actions = remedies.decide(input({ wishes: larger }));
  assert.deepEqual(kinds(actions), ["withdrawQuestion", "ask"]);
  // With more room each time, so that few questions do: 1.15, 1.5 and 1.94 times the least.
  const wanted = (action: Action) => action.kind === "ask" && action.question.wantedDowntimeMs;
  assert.equal(wanted(actions[1]), 4_510);
  const again = remedies.decide(input({ wishes: { ...larger, maxDowntimeMs: 2_500 } }));
  assert.equal(wanted(again[1]), 5_860);
});

Deno.test("a question that is far off is put again, not more often than every half minute", () => {
  const remedies = new Remedies();
  const ask = (judgedMs: number, leastBudgetedMs: number) =>
    remedies.decide(input({ whenOver: ["ask"], judgedMs, leastBudgetedMs }));
  ask(0, 3_000);
  assert.deepEqual(ask(20_000, 9_000), []);
  assert.deepEqual(ask(40_000, 3_200), []);
  assert.deepEqual(kinds(ask(41_000, 9_000)), ["ask"]);
});

Deno.test("a question is withdrawn when the copy has converged for a while", () => {
  const remedies = new Remedies();
  remedies.decide(input({ whenOver: ["ask"] }));
  const good = (judgedMs: number) =>
    kinds(remedies.decide(input({
      whenOver: ["ask"],
      judgedMs,
      convergence: verdict("converging"),
    })));
  assert.deepEqual(good(61_000), []);
  assert.deepEqual(good(90_000), []);
  assert.deepEqual(good(91_000), ["withdrawQuestion"]);
});

Deno.test("giving up takes a verdict that has stood, and takes caps away first", () => {
  const remedies = new Remedies();
  const whenOver = ["throttleDisks", "giveUp"] as const;
  while (kinds(remedies.decide(input({ whenOver }))).includes("throttleDisks"));
  assert.deepEqual(remedies.decide(input({ whenOver, badForMs: 19_900 })), []);
  const actions = remedies.decide(input({ whenOver, badForMs: 20_000 }));
  assert.deepEqual(kinds(actions), ["throttleDisks", "giveUp"]);
  assert.equal(actions[0].kind === "throttleDisks" && actions[0].bytesPerSecond, null);
  assert.match(actions[1].reason, /given up after 20 s without getting nearer: it writes too much/);
});

Deno.test("a list that has come to its end waits", () => {
  const cannot = measurement(0, { canThrottleCpu: false });
  const whenOver = ["throttleCpu"] as const;
  assert.deepEqual(new Remedies().decide(input({ whenOver, measured: cannot })), []);
});

Deno.test("a moment that has passed gives the machine its speed back, but not its processor", () => {
  const remedies = new Remedies();
  remedies.decide(input({ whenOver: ["throttleDisks"] }));
  while (
    !kinds(remedies.decide(input({ whenOver: ["throttleDisks", "throttleCpu", "ask"] })))
      .includes("ask")
  );
  assert.deepEqual(kinds(remedies.release("the move only holds")), [
    "withdrawQuestion",
    "throttleDisks",
  ]);
  assert.deepEqual(remedies.release("the move only holds"), []);
  assert.match(remedies.status!, /processor slowed by/);
  remedies.streamEnded();
  assert.equal(remedies.status, null);
});

Deno.test("after an undone switch what had been done is asked for again", () => {
  const remedies = new Remedies();
  assert.deepEqual(remedies.again(), []);
  const whenOver = ["throttleCpu", "throttleDisks"] as const;
  remedies.decide(input({ whenOver: ["throttleDisks"] }));
  remedies.decide(input({ whenOver }));
  const again = remedies.again();
  assert.deepEqual(kinds(again), ["throttleDisks", "throttleCpu"]);
});

Deno.test("a budget that a pause of the last seconds fits is not asked to be larger", () => {
  const remedies = new Remedies();
  const whenOver = ["ask", "giveUp"] as const;
  const [first] = remedies.decide(input({ whenOver, badForMs: 1e6, leastBudgetedMs: 7_222 }));
  assert.equal(first.kind === "ask" && first.question.wantedDowntimeMs, 8_330);
  // Granted; the pause swings, and is above the new budget at this moment.
  const granted = input({
    whenOver,
    badForMs: 1e6,
    wishes: wishes({ whenOver, maxDowntimeMs: 8_330 }),
    budgetedMs: 10_909,
    leastBudgetedMs: 7_222,
  });
  assert.deepEqual(kinds(remedies.decide(granted)), ["withdrawQuestion"]);
  assert.deepEqual(remedies.decide(granted), [], "nor is the move given up");
  const grown = { ...granted, leastBudgetedMs: 9_000 };
  const [again] = remedies.decide(grown);
  assert.equal(again.kind === "ask" && again.question.wantedDowntimeMs, 13_480);
});
