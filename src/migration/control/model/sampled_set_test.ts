import assert from "node:assert/strict";
import fc from "fast-check";
import { sampledSet } from "./sampled_set.ts";

/** What a set shows after a time. */
const sample = (bytes: number, bytesPerSecond: number, ms: number) => ({
  ms,
  distinctBytes: bytes * -Math.expm1(-bytesPerSecond * ms / 1000 / bytes),
});

Deno.test("two samples show the set that made them", () => {
  const rate = fc.double({ min: 0.05, max: 4, noNaN: true });
  fc.assert(fc.property(fc.integer({ min: 1e6, max: 1e9 }), rate, (bytes, writtenOften) => {
    const bytesPerSecond = bytes * writtenOften;
    const set = sampledSet(
      sample(bytes, bytesPerSecond, 1_000),
      sample(bytes, bytesPerSecond, 3_000),
      1e10,
    );
    assert.ok(Math.abs(set.bytes / bytes - 1) < 0.01, `${set.bytes} of ${bytes}`);
    assert.ok(Math.abs(set.bytesPerSecond / bytesPerSecond - 1) < 0.01);
  }));
});

Deno.test("a set that was written all over in both is that small, and written often", () => {
  const set = sampledSet({ ms: 1_000, distinctBytes: 8e6 }, { ms: 3_000, distinctBytes: 8e6 }, 1e9);
  assert.ok(Math.abs(set.bytes - 8e6) < 0.1e6);
  assert.ok(set.bytesPerSecond > 3 * 8e6);
});

Deno.test("writes that only ever found new places are of a set as large as may be", () => {
  const set = sampledSet(
    { ms: 1_000, distinctBytes: 5e6 },
    { ms: 3_000, distinctBytes: 15e6 },
    1e8,
  );
  assert.equal(set.bytes, 1e8);
  assert.ok(Math.abs(set.bytesPerSecond - 5.13e6) < 0.1e6, String(set.bytesPerSecond));
});

Deno.test("noise between the samples is no nonsense", () => {
  const bytes = fc.nat(1e9);
  fc.assert(fc.property(bytes, bytes, (first, second) => {
    const set = sampledSet(
      { ms: 1_000, distinctBytes: first },
      { ms: 3_000, distinctBytes: second },
      2e9,
    );
    assert.ok(set.bytes >= 0 && set.bytes <= 2e9);
    assert.ok(Number.isFinite(set.bytesPerSecond) && set.bytesPerSecond >= 0);
  }));
});

Deno.test("a machine that wrote nothing has no set, and equal times show none", () => {
  const none = sampledSet({ ms: 1_000, distinctBytes: 0 }, { ms: 3_000, distinctBytes: 0 }, 1e9);
  assert.deepEqual(none, { bytes: 0, bytesPerSecond: 0 });
  const same = { ms: 1_000, distinctBytes: 1 };
  assert.throws(() => sampledSet(same, same, 1e9), RangeError);
});
