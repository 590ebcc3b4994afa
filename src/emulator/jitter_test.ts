import assert from "node:assert/strict";
import fc from "fast-check";
import { wanderingJitterMs } from "./jitter.ts";

const ms = (max: number) => fc.double({ min: 0, max, noNaN: true });

Deno.test("in-order jitter stays in its range and too slow for a packet to overtake", () => {
  fc.assert(
    fc.property(fc.integer(), ms(1e8), ms(1000), ms(1000), (seed, atMs, gapMs, jitterMs) => {
      const now = wanderingJitterMs(seed, atMs, jitterMs);
      const later = wanderingJitterMs(seed, atMs + gapMs, jitterMs);
      assert(Math.abs(now) <= jitterMs);
      assert(Math.abs(later - now) <= gapMs / 2 + 1e-6, `${later - now} in ${gapMs} ms`);
    }),
  );
});

Deno.test("in-order jitter differs between seeds and is none below a microsecond", () => {
  assert.notEqual(wanderingJitterMs(1, 100, 10), wanderingJitterMs(2, 100, 10));
  for (const jitterMs of [0, 5e-324, 1e-9]) assert.equal(wanderingJitterMs(1, 1e6, jitterMs), 0);
});
