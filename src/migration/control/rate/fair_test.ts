import assert from "node:assert/strict";
import { FAIR_SHARE_LEAST } from "../wishes.ts";
import { measurement, path } from "../testing/measurements.ts";
import { FairRate } from "./fair.ts";

const CAPACITY = 10e6;

/**
 * A bottleneck with a steady share of other traffic and always something of ours to send: what is
 * pushed beyond it becomes a queue, seen a round trip later.
 */
function drive(
  seconds: number,
  others: (atMs: number) => number,
  { rtt = 50, wish = { maxBytesPerSecond: null as number | null } } = {},
) {
  const rule = new FairRate(wish);
  const rates: number[] = [];
  const queues: number[] = [];
  let queueMs = 0;
  let rate = 0.2 * CAPACITY;
  for (let atMs = 0; atMs < seconds * 1000; atMs += 100) {
    queueMs = Math.max(0, Math.min(200, queueMs + (rate / CAPACITY + others(atMs) - 1) * 100));
    queues.push(queueMs);
    const seenMs = queues.at(-1 - Math.round(rtt / 100)) ?? 0;
    const decision = rule.decide({
      judgedMs: atMs,
      measured: measurement(atMs, {
        path: path({
          bottleneckBytesPerSecond: CAPACITY,
          queueMs: seenMs,
          roundTripMs: rtt + seenMs,
          minRoundTripMs: rtt,
        }),
      }),
      appliedBytesPerSecond: Math.min(rate, CAPACITY),
      waitingBytes: 1e9,
      dirtyBytesPerSecond: null,
    });
    rate = decision.bytesPerSecond!;
    rates.push(rate);
  }
  return { rates, queues, share: (s: number) => rates[s * 10] / CAPACITY };
}

Deno.test("alone on the path it takes all of it within some seconds, and keeps it", () => {
  const { share, rates } = drive(60, () => 0);
  assert.ok(share(8) > 0.9, String(share(8)));
  assert.ok(Math.min(...rates.slice(80)) > 0.75 * CAPACITY);
});

Deno.test("beside steady traffic it takes what is left, and hardly any queue stands", () => {
  for (const rtt of [4, 50, 300]) {
    const { rates, queues } = drive(120, () => 0.6, { rtt });
    const later = rates.slice(300);
    const mean = later.reduce((sum, rate) => sum + rate) / later.length / CAPACITY;
    assert.ok(mean > 0.3 && mean < 0.41, `${rtt} ms: ${mean}`);
    const queue = queues.slice(300).reduce((sum, ms) => sum + ms) / later.length;
    assert.ok(queue < 0.15 * rtt + 10, `${rtt} ms: ${queue} ms of queue`);
  }
});

Deno.test("traffic that keeps the queue full gets everything but the least share", () => {
  // It fills whatever is left, and more: the queue stands at its limit.
  const { share } = drive(40, (atMs) => atMs < 10_000 ? 0 : 1);
  assert.ok(share(9) > 0.9);
  assert.ok(share(12) < 0.6, `after two seconds: ${share(12)}`);
  assert.ok(Math.abs(share(35) - FAIR_SHARE_LEAST) < 0.01, String(share(35)));
});

Deno.test("it comes back when the other traffic has ended", () => {
  const { share } = drive(90, (atMs) => atMs > 10_000 && atMs < 30_000 ? 1 : 0);
  assert.ok(share(29) < 0.1);
  assert.ok(share(60) > 0.8, String(share(60)));
});

Deno.test("it never exceeds the most that is wished, and never goes below the least share", () => {
  const { rates } = drive(60, (atMs) => (atMs / 5_000) % 2 < 1 ? 0 : 1, {
    wish: { maxBytesPerSecond: 3e6 },
  });
  assert.ok(Math.max(...rates) <= 3e6);
  assert.ok(Math.min(...rates) >= FAIR_SHARE_LEAST * CAPACITY - 1);
});

Deno.test("a most below the least share is kept", () => {
  const { rates } = drive(5, () => 0, { wish: { maxBytesPerSecond: 10_000 } });
  assert.equal(Math.max(...rates), 10_000);
});

Deno.test("where the path's queue is not measured the round trip stands for it", () => {
  const rule = new FairRate({ maxBytesPerSecond: null });
  const decide = (judgedMs: number, roundTripMs: number) =>
    rule.decide({
      judgedMs,
      measured: measurement(judgedMs, { path: path({ queueMs: null, roundTripMs }) }),
      appliedBytesPerSecond: CAPACITY,
      waitingBytes: 1e9,
      dirtyBytesPerSecond: null,
    }).bytesPerSecond!;
  let calm = 0;
  for (let atMs = 0; atMs < 3_000; atMs += 100) calm = decide(atMs, 100);
  let queued = 0;
  for (let atMs = 3_000; atMs < 5_000; atMs += 100) queued = decide(atMs, 180);
  assert.ok(queued < calm);
});

Deno.test("a path that was never filled has no known bottleneck, and the cap grows all the same", () => {
  const rule = new FairRate({ maxBytesPerSecond: null });
  let rate = 0;
  for (let judgedMs = 0; judgedMs < 10_000; judgedMs += 100) {
    rate = rule.decide({
      judgedMs,
      measured: measurement(judgedMs, { path: path({ bottleneckBytesPerSecond: null }) }),
      appliedBytesPerSecond: rate,
      waitingBytes: 1e9,
      dirtyBytesPerSecond: null,
    }).bytesPerSecond!;
  }
  assert.ok(rate > CAPACITY, String(rate));
});

Deno.test("a cap that is not used does not grow", () => {
  const rule = new FairRate({ maxBytesPerSecond: null });
  let rate = 0;
  for (let judgedMs = 0; judgedMs < 10_000; judgedMs += 100) {
    rate = rule.decide({
      judgedMs,
      measured: measurement(judgedMs),
      appliedBytesPerSecond: 1_000,
      waitingBytes: 0,
      dirtyBytesPerSecond: null,
    }).bytesPerSecond!;
  }
  assert.equal(rate, 0.2 * CAPACITY);
});
