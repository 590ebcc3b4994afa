import assert from "node:assert/strict";
import type { Estimate } from "./estimate.ts";
import type { Flow } from "./flow.ts";
import { outlookOf } from "./outlook.ts";
import { measurement } from "./testing/measurements.ts";
import { Tendency, type TendencyInput } from "./tendency.ts";

/** A look: what remains had these lows, and the machine writes so much, over a link of 10 MB/s. */
function look(
  judgedMs: number,
  { from, to, dirty, budgetMs = 300, spanMs = 12_000, isSlowed = false, isMachineSlowed = false }: {
    from: number;
    to: number;
    dirty: number;
    budgetMs?: number;
    spanMs?: number;
    isSlowed?: boolean;
    isMachineSlowed?: boolean;
  },
): TendencyInput {
  const measured = measurement(judgedMs);
  const flow: Flow = {
    spanMs,
    dirtyBytesPerSecond: dirty,
    carriedBytesPerSecond: 10e6,
    earlierLowBytes: from,
    laterLowBytes: to,
    isSaturated: true,
  };
  const estimate: Estimate = {
    backlog: {
      memoryBytes: to,
      diskBytes: 0,
      parkedBytes: 0,
      waitingBytes: to,
      onTheWayBytes: 0,
    },
    forTheLinkBytes: to,
    flow,
    appliedBytesPerSecond: 10e6,
    dirtyMemoryBytesPerSecond: dirty,
    dirtyDiskBytesPerSecond: 0,
    isInStep: true,
    lossRatio: 0,
  };
  const outlook = outlookOf(measured, { maxDowntimeMs: budgetMs }, {
    waitingBytes: to,
    forTheLinkBytes: to,
    goodputBytesPerSecond: 10e6,
    dirtyMemoryBytesPerSecond: dirty,
    dirtyDiskBytesPerSecond: 0,
    lossRatio: 0,
    appliedBytesPerSecond: 0,
    shortByMs: 0,
  });
  return { judgedMs, measured, isSlowed, isMachineSlowed, estimate, outlook };
}

/** The same look again and again. */
function looks(tendency: Tendency, untilMs: number, of: Parameters<typeof look>[1], fromMs = 0) {
  let last = tendency.judge(look(fromMs, of));
  for (let atMs = fromMs + 100; atMs <= untilMs; atMs += 100) last = tendency.judge(look(atMs, of));
  return last;
}

Deno.test("what stays as it is does not converge, said after some seconds with both rates", () => {
  const tendency = new Tendency();
  const stuck = { from: 40e6, to: 40e6, dirty: 25e6, spanMs: 3_000 };
  assert.equal(looks(tendency, 2_000, stuck).verdict, "unknown");
  const verdict = looks(tendency, 3_500, stuck, 2_100);
  assert.equal(verdict.verdict, "notConverging");
  assert.match(verdict.reason, /writes 25 MB\/s that have to cross, the link carries 10 MB\/s/);
  assert.match(verdict.reason, /40 MB.* does not shrink to the 2\.1 MB that fit the budget of 300/);
  assert.equal(verdict.numbers.dirtyBytesPerSecond, 25e6);
  assert.equal(verdict.numbers.fitsInMs, null);
  assert.ok(tendency.badForMs(5_000) > 1_000);
});

Deno.test("a case that is not plain is watched for a whole look first", () => {
  const close = { from: 40e6, to: 40e6, dirty: 10.5e6 };
  assert.equal(looks(new Tendency(), 8_000, { ...close, spanMs: 5_000 }).verdict, "unknown");
  assert.equal(looks(new Tendency(), 8_000, { ...close, spanMs: 9_000 }).verdict, "notConverging");
});

Deno.test("what shrinks fast enough converges, with the time that it takes", () => {
  const verdict = looks(new Tendency(), 10_000, { from: 60e6, to: 30e6, dirty: 5e6 });
  assert.equal(verdict.verdict, "converging");
  assert.match(verdict.reason, /shrinks, and fits the budget in about 5\d{3} ms/);
});

Deno.test("what shrinks too slowly to wait for does not converge", () => {
  // 165 s to go.
  const slow = { from: 400e6, to: 386e6, dirty: 9e6 };
  assert.equal(looks(new Tendency(), 20_000, slow).verdict, "notConverging");
  // With the machine slowed for it, this is fast enough.
  const slowed = looks(new Tendency(), 20_000, { ...slow, isMachineSlowed: true });
  assert.equal(slowed.verdict, "converging");
});

Deno.test("a long copy over a slow link is not the machine's doing", () => {
  const verdict = looks(new Tendency(), 20_000, { from: 4e9, to: 3.95e9, dirty: 1e6 });
  assert.equal(verdict.verdict, "converging");
  assert.match(verdict.reason, /takes its time at 10 MB\/s/);
});

Deno.test("a budget shorter than the hand-over is named as that", () => {
  const verdict = looks(new Tendency(), 10_000, { from: 1e5, to: 1e5, dirty: 0, budgetMs: 80 });
  assert.equal(verdict.verdict, "notConverging");
  assert.match(verdict.reason, /budget of 80 ms is shorter than the hand-over alone/);
});

Deno.test("a floor that the link is not to blame for is named as that", () => {
  const floor = { from: 3e6, to: 3e6, dirty: 4e6 };
  assert.match(looks(new Tendency(), 20_000, floor).reason, /less than the 10 MB\/s of the link/);
});

Deno.test("a link far slower than a moment ago is no finding", () => {
  const stuck = { from: 40e6, to: 40e6, dirty: 25e6, isSlowed: true };
  const verdict = looks(new Tendency(), 20_000, stuck);
  assert.equal(verdict.verdict, "unknown");
  assert.match(verdict.reason, /far less than a moment ago/);
});

Deno.test("what fits ends a verdict at once; what begins to shrink, after some seconds", () => {
  const stuck = { from: 40e6, to: 40e6, dirty: 25e6 };
  const tendency = new Tendency();
  looks(tendency, 10_000, stuck);
  const shrinking = { from: 60e6, to: 30e6, dirty: 5e6 };
  assert.equal(tendency.judge(look(10_100, shrinking)).verdict, "notConverging");
  assert.equal(looks(tendency, 17_000, shrinking, 10_200).verdict, "converging");
  looks(tendency, 30_000, stuck, 17_100);
  assert.equal(
    tendency.judge(look(30_100, { from: 2e6, to: 1e6, dirty: 5e6 })).verdict,
    "converging",
  );
});
