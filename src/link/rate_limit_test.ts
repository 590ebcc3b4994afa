import assert from "node:assert/strict";
import fc from "fast-check";
import { BURST_MS, RateLimit } from "./rate_limit.ts";

Deno.test("over any time at most rate, burst and one record pass, and no less than the rate", () => {
  const records = fc.array(fc.integer({ min: 1, max: 300_000 }), { minLength: 20, maxLength: 100 });
  fc.assert(fc.property(records, fc.integer({ min: 1_000, max: 1e8 }), (sizes, bytesPerSecond) => {
    const limit = new RateLimit(bytesPerSecond, 0);
    let nowMs = 0;
    let sentBytes = 0;
    for (const bytes of sizes) {
      nowMs = limit.readyAtMs(nowMs);
      const allowedBytes = bytesPerSecond * (nowMs + BURST_MS) / 1000;
      assert.ok(sentBytes <= allowedBytes + 1, "never ahead by more than the burst");
      assert.ok(sentBytes >= bytesPerSecond * nowMs / 1000 - 1, "never behind while asked at once");
      limit.spend(bytes, nowMs);
      sentBytes += bytes;
    }
  }));
});

Deno.test("what is late by a timer is made up for, what is unused is not", () => {
  const limit = new RateLimit(1_000_000, 0);
  limit.spend(100_000, 0);
  assert.equal(limit.readyAtMs(0), 100);
  // 2 ms late: the next wait is as much shorter.
  limit.spend(100_000, 102);
  assert.ok(Math.abs(limit.readyAtMs(102) - 200) < 1e-6);
  limit.spend(400_000, 60_000);
  assert.ok(Math.abs(limit.readyAtMs(60_000) - 60_200) < 1e-6, "an idle minute is worth 200 ms");
});

Deno.test("a new rate pays off the old debt at once", () => {
  const limit = new RateLimit(1_000, 0);
  limit.spend(10_000, 0);
  assert.equal(limit.readyAtMs(0), 10_000);
  limit.set(1_000_000, 1);
  assert.ok(limit.readyAtMs(1) < 12);
  limit.set(null, 2);
  assert.equal(limit.readyAtMs(2), 2);
  limit.set(1_000, 3);
  assert.equal(limit.readyAtMs(3), 3, "no debt from the time without a cap");
});

Deno.test("a rate that is no rate is a mistake of the caller", () => {
  for (const rate of [0, -1, NaN, Infinity]) {
    assert.throws(() => new RateLimit(rate, 0), RangeError);
  }
});
