import assert from "node:assert/strict";
import { measurement, memory, path } from "../testing/measurements.ts";
import type { Wishes } from "../wishes.ts";
import { Rate } from "./rate.ts";

function decide(
  rate: Rate,
  judgedMs: number,
  wish: Wishes["rate"],
  { mayStep = true, pass = 3, dirty = null as number | null, queueMs = 0 } = {},
) {
  return rate.decide(wish, {
    judgedMs,
    measured: measurement(judgedMs, { memory: memory({ pass }), path: path({ queueMs }) }),
    appliedBytesPerSecond: 10e6,
    waitingBytes: 0,
    dirtyBytesPerSecond: dirty,
  }, mayStep);
}

Deno.test("no cap is said once it is wished after another, and never before", () => {
  const rate = new Rate();
  assert.equal(decide(rate, 0, null), null);
  assert.equal(decide(rate, 100, 2_000_000)?.bytesPerSecond, 2_000_000);
  assert.equal(decide(rate, 200, 2_000_000), null);
  assert.equal(decide(rate, 300, null)?.bytesPerSecond, null);
  assert.equal(rate.bytesPerSecond, null);
});

Deno.test("another wish is followed at once, with the cap before in its numbers", () => {
  const rate = new Rate();
  decide(rate, 0, 2_000_000);
  const changed = decide(rate, 100, { policy: "fixed", bytesPerSecond: 2_010_000 })!;
  assert.equal(changed.bytesPerSecond, 2_010_000);
  assert.equal(changed.numbers.beforeBytesPerSecond, 2_000_000);
});

Deno.test("a number and the policy of that name are the same, and equal wishes change nothing", () => {
  const rate = new Rate();
  decide(rate, 0, 2_000_000);
  assert.equal(decide(rate, 100, { policy: "fixed", bytesPerSecond: 2_000_000 }), null);
  const fair = () => ({ policy: "fair", maxBytesPerSecond: null } as const);
  decide(rate, 1_000, fair());
  const before = rate.bytesPerSecond;
  // Each tick may bring an equal object: the rule goes on where it was.
  for (let atMs = 1_100; atMs < 2_600; atMs += 100) decide(rate, atMs, fair());
  assert.ok(rate.bytesPerSecond! > before!);
});

Deno.test("small changes of a rule are not said, and large ones twice a second at most", () => {
  const rate = new Rate();
  const fair = { policy: "fair", maxBytesPerSecond: null } as const;
  const saidAtMs = [];
  let last = 0;
  for (let atMs = 0; atMs < 20_000; atMs += 100) {
    const queueMs = atMs > 8_000 && atMs < 12_000 ? 80 : 0;
    const said = decide(rate, atMs, fair, { queueMs });
    if (said === null) continue;
    if (last > 0) assert.ok(Math.abs(said.bytesPerSecond! - last) >= 0.03 * last);
    last = said.bytesPerSecond!;
    saidAtMs.push(atMs);
  }
  assert.ok(saidAtMs.length > 5);
  for (let index = 1; index < saidAtMs.length; index++) {
    assert.ok(saidAtMs[index] - saidAtMs[index - 1] >= 500);
  }
});

Deno.test("without a link no rule takes a step, but another wish still counts", () => {
  const rate = new Rate();
  const clark = {
    policy: "clark",
    minBytesPerSecond: 1e6,
    maxBytesPerSecond: 8e6,
    incrementBytesPerSecond: 2e6,
  } as const;
  decide(rate, 0, clark, { pass: 1 });
  assert.equal(decide(rate, 5_000, clark, { pass: 2, dirty: 3e6, mayStep: false }), null);
  assert.equal(decide(rate, 5_100, 4_000_000, { mayStep: false })?.bytesPerSecond, 4_000_000);
  assert.equal(decide(rate, 6_000, clark, { mayStep: false })?.bytesPerSecond, 1e6);
});

Deno.test("the last round goes at the rule's most, said only where that is another cap", () => {
  const rate = new Rate();
  const clark = {
    policy: "clark",
    minBytesPerSecond: 1e6,
    maxBytesPerSecond: 8e6,
    incrementBytesPerSecond: 2e6,
  } as const;
  decide(rate, 0, clark, { pass: 1 });
  assert.equal(rate.decideLast(100)?.bytesPerSecond, 8e6);
  assert.equal(rate.decideLast(200), null);
  // After an undone switch the rule has the say again.
  assert.equal(decide(rate, 1_000, clark, { pass: 1 })?.bytesPerSecond, 1e6);
  decide(rate, 2_000, 3e6);
  assert.equal(rate.decideLast(2_100), null);
});
