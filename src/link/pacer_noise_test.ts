import assert from "node:assert/strict";
import fc from "fast-check";
import { type NoiseInput, PathNoise } from "./pacer_noise.ts";

const ARRIVED = 1_000_000;
const STEP_MS = 20;

/** Reports of one second at this share of what can arrive, all with the same delay. */
function feed(noise: PathNoise, fromMs: number, share: number, queueMs: number, steps = 50): void {
  for (let step = 0; step < steps; step++) {
    noise.take(input({ nowMs: fromMs + step * STEP_MS, queueMs, share }));
  }
}

function input(
  { nowMs, queueMs, share }: { nowMs: number; queueMs: number; share: number },
): NoiseInput {
  return {
    nowMs,
    queueMs,
    roundTripMs: 120 + queueMs,
    minRoundTripMs: 120,
    sentBytesPerSecond: share * ARRIVED,
    arrivedBytesPerSecond: ARRIVED,
  };
}

Deno.test("PathNoise learns a delay that stays while little is sent", () => {
  const noise = new PathNoise();
  feed(noise, 0, 0.6, 30);
  assert.ok(noise.queueMs > 25, `${noise.queueMs}`);
  assert.ok(noise.roundTripMs > 25, `${noise.roundTripMs}`);
});

Deno.test("PathNoise learns nothing of a path that may be full", () => {
  const noise = new PathNoise();
  feed(noise, 0, 1, 30);
  assert.equal(noise.queueMs, 0);
});

Deno.test("PathNoise learns nothing as long as a queue of ours may still drain", () => {
  const noise = new PathNoise();
  feed(noise, 0, 1.5, 60);
  // 60 ms of queue drain in 60 / (1 - 0.6 / 0.9) = 180 ms.
  feed(noise, 1_000, 0.6, 60, 8);
  assert.equal(noise.queueMs, 0);
  feed(noise, 1_160, 0.6, 60);
  assert.ok(noise.queueMs > 50, `${noise.queueMs}`);
});

Deno.test("PathNoise forgets what is not confirmed, and faster in doubt", () => {
  const faded = new PathNoise();
  const doubted = new PathNoise();
  feed(faded, 0, 0.6, 30);
  feed(doubted, 0, 0.6, 30);
  const learnt = faded.queueMs;
  feed(faded, 1_000, 1, 30);
  for (let step = 0; step < 50; step++) doubted.doubt(1_000 + step * STEP_MS);
  assert.ok(faded.queueMs < 0.9 * learnt && faded.queueMs > 0.7 * learnt, `${faded.queueMs}`);
  assert.ok(doubted.queueMs < 0.4 * learnt, `${doubted.queueMs}`);
});

Deno.test("PathNoise never allows more than three quarters of a round trip, whatever comes", () => {
  const report = fc.record({
    stepMs: fc.double({ min: 0, max: 20_000, noNaN: true }),
    queueMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
    share: fc.double({ min: 0, max: 1e6, noNaN: true }),
    isKnown: fc.boolean(),
    isDoubted: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(report), (reports) => {
      const noise = new PathNoise();
      let nowMs = 0;
      for (const { stepMs, queueMs, share, isKnown, isDoubted } of reports) {
        nowMs += stepMs;
        const arrivedBytesPerSecond = isKnown ? ARRIVED : 0;
        if (isDoubted) noise.doubt(nowMs);
        else noise.take({ ...input({ nowMs, queueMs, share }), arrivedBytesPerSecond });
        assert.ok(noise.queueMs >= 0 && noise.queueMs <= 90, `${noise.queueMs}`);
        assert.ok(noise.roundTripMs >= 0 && noise.roundTripMs <= 90, `${noise.roundTripMs}`);
      }
    }),
    { seed: 1 },
  );
});
