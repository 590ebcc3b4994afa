import assert from "node:assert/strict";
import { measurement, memory } from "../testing/measurements.ts";
import { ClarkRate } from "./clark.ts";

const wish = {
  minBytesPerSecond: 1_000_000,
  maxBytesPerSecond: 8_000_000,
  incrementBytesPerSecond: 2_000_000,
};

/** A rule that is told of a pass, with what had crossed and what the machine wrote in the last. */
function at(
  rule: ClarkRate,
  judgedMs: number,
  { pass, applied = 0, waiting = 0, dirty = null }: {
    pass: number;
    applied?: number;
    waiting?: number;
    dirty?: number | null;
  },
) {
  return rule.decide({
    judgedMs,
    measured: measurement(judgedMs, { memory: memory({ pass }), appliedWireBytes: applied }),
    appliedBytesPerSecond: 0,
    waitingBytes: waiting,
    dirtyBytesPerSecond: dirty,
  });
}

Deno.test("the first round goes at the least, until all that waited has crossed", () => {
  const rule = new ClarkRate(wish);
  assert.equal(at(rule, 0, { pass: 1, waiting: 100 }).bytesPerSecond, 1_000_000);
  // The machine is in its second pass before a pool that holds everything.
  const second = at(rule, 5_000, { pass: 2, applied: 50, waiting: 50, dirty: 3e6 });
  assert.equal(second.bytesPerSecond, 1_000_000);
  assert.equal(at(rule, 9_000, { pass: 3, applied: 100, dirty: 3e6 }).bytesPerSecond, 5_000_000);
});

Deno.test("a later round goes at what the machine wrote in the one before, and the increment", () => {
  const rule = new ClarkRate(wish);
  at(rule, 0, { pass: 1 });
  const decision = at(rule, 2_000, { pass: 2, dirty: 1.5e6 });
  assert.equal(decision.bytesPerSecond, 3_500_000);
  assert.match(decision.reason, /wrote 1\.5 MB\/s in the last round, and the next gets 2\.0 MB\/s/);
  assert.equal(decision.numbers.dirtyBytesPerSecond, 1_500_000);
  // Within a round nothing changes.
  assert.equal(at(rule, 2_500, { pass: 2, dirty: 6e6 }).bytesPerSecond, 3_500_000);
  assert.equal(at(rule, 3_500, { pass: 3, dirty: 9e6 }).bytesPerSecond, 8_000_000, "the most");
});

Deno.test("the last round, with the machine paused, goes at the most", () => {
  assert.equal(at(new ClarkRate(wish), 0, { pass: 1 }).finalBytesPerSecond, 8_000_000);
});

Deno.test("a lower rate waits until no round has asked for more in ten seconds, and stays as long", () => {
  const rule = new ClarkRate(wish);
  at(rule, 0, { pass: 1 });
  at(rule, 2_000, { pass: 2, dirty: 4e6 });
  assert.equal(at(rule, 5_000, { pass: 3, dirty: 1e6 }).bytesPerSecond, 6_000_000);
  assert.equal(at(rule, 12_500, { pass: 4, dirty: 1e6 }).bytesPerSecond, 3_000_000);
  assert.equal(at(rule, 15_000, { pass: 5, dirty: 4e6 }).bytesPerSecond, 3_000_000);
  assert.equal(at(rule, 23_000, { pass: 6, dirty: 4e6 }).bytesPerSecond, 6_000_000);
});
