import assert from "node:assert/strict";
import fc from "fast-check";
import type { WrittenSet } from "../../migration/control/model.ts";
import { ENDS } from "./ends.ts";
import { diskSet, memorySets } from "./written_sets.ts";

const MIB = 1024 * 1024;
const MEMORY = 1024 * MIB;
const SHORT_MS = 1_000;
const LONG_MS = 3_000;

/** Distinct bytes that a machine with these sets writes in so long. */
function seen(sets: readonly WrittenSet[], ms: number): number {
  return sets.reduce(
    (sum, { bytes, bytesPerSecond }) =>
      sum + (bytes <= 0 ? 0 : bytes * (1 - Math.exp(-bytesPerSecond * ms / 1000 / bytes))),
    0,
  );
}

function windowsOf(sets: readonly WrittenSet[]) {
  return [SHORT_MS, LONG_MS].map((ms) => ({ ms, distinctBytes: seen(sets, ms) }));
}

const near = (found: number, wanted: number, ratio = 0.02) =>
  assert.ok(Math.abs(found - wanted) <= ratio * wanted + 1, `${found} instead of ${wanted}`);

Deno.test("a machine that writes nothing has no sets", () => {
  const windows = windowsOf([]);
  for (const end of ENDS) assert.deepEqual(memorySets(MEMORY, windows, 0)[end], []);
});

Deno.test("a hot set that is half full in the short window is found with its size and rate", () => {
  const hot = { bytes: 16 * MIB, bytesPerSecond: 12 * MIB };
  const { low: [found] } = memorySets(MEMORY, windowsOf([hot]), 0);
  near(found.bytes, hot.bytes, 0.1);
  near(found.bytesPerSecond, hot.bytesPerSecond, 0.1);
});

Deno.test("a set that is full in both windows is as large, and more than once written over", () => {
  const windows = windowsOf([{ bytes: 8 * MIB, bytesPerSecond: 400 * MIB }]);
  const { low, expected, high } = memorySets(MEMORY, windows, 0);
  for (const [found] of [low, expected, high]) near(found.bytes, 8 * MIB, 0.2);
  assert.ok(low[0].bytesPerSecond < expected[0].bytesPerSecond);
  assert.ok(expected[0].bytesPerSecond < high[0].bytesPerSecond);
});

Deno.test("what grows with the window is spread over memory, in the worst case for ever", () => {
  const windows = [
    { ms: SHORT_MS, distinctBytes: 11 * MIB },
    { ms: LONG_MS, distinctBytes: 13 * MIB },
  ];
  const { low, expected, high } = memorySets(MEMORY, windows, 0);
  const inTenMinutes = [low, expected, high].map((sets) => seen(sets, 600_000));
  assert.ok(inTenMinutes[0] < 100 * MIB && inTenMinutes[2] > 400 * MIB, String(inTenMinutes));
  assert.ok(inTenMinutes[0] < inTenMinutes[1] && inTenMinutes[1] < inTenMinutes[2]);
});

Deno.test("any two windows are explained in every case, and cases are in order for long times", () => {
  const bytes = fc.integer({ min: 0, max: MEMORY / 2 });
  fc.assert(fc.property(bytes, bytes, (one, other) => {
    const [short, long] = [Math.min(one, other), Math.max(one, other)];
    const windows = [{ ms: SHORT_MS, distinctBytes: short }, { ms: LONG_MS, distinctBytes: long }];
    const sets = memorySets(MEMORY, windows, 0);
    for (const end of ENDS) {
      near(seen(sets[end], LONG_MS), long, 0.05);
      const size = sets[end].reduce((sum, set) => sum + set.bytes, 0);
      assert.ok(size <= MEMORY * (1 + 1e-9), `sets of ${size} bytes`);
    }
    const [low, expected, high] = ENDS.map((end) => seen(sets[end], 100_000));
    assert.ok(low <= expected * 1.01 && expected <= high * 1.01, `${low} ${expected} ${high}`);
  }));
});

Deno.test("windows in coarse steps that show nothing leave up to a step open", () => {
  const windows = [{ ms: SHORT_MS, distinctBytes: 0 }, { ms: LONG_MS, distinctBytes: 0 }];
  const { low, expected, high } = memorySets(MEMORY, windows, MIB);
  assert.deepEqual(low, []);
  near(seen(expected, LONG_MS), 0.75 * MIB, 0.05);
  near(seen(high, LONG_MS), 3 * MIB, 0.05);
});

Deno.test("a long window that met a quieter time counts at least what the short one saw", () => {
  const windows = [
    { ms: SHORT_MS, distinctBytes: 30 * MIB },
    { ms: LONG_MS, distinctBytes: 10 * MIB },
  ];
  near(seen(memorySets(MEMORY, windows, 0).expected, LONG_MS), 30 * MIB);
});

Deno.test("a disk's set has the size at which so many writes reach so many blocks", () => {
  const set = { bytes: 20 * MIB, bytesPerSecond: 5 * MIB };
  const sample = { writtenBytesPerSecond: 5 * MIB, distinctBytes: seen([set], 4_000), ms: 4_000 };
  for (const end of ENDS) near(diskSet(1_000 * MIB, sample)[end].bytes, set.bytes);
});

Deno.test("a disk that is written in order grows up to its size in the worst case", () => {
  const sample = { writtenBytesPerSecond: MIB, distinctBytes: 4 * MIB, ms: 4_000 };
  const { low, expected, high } = diskSet(1_000 * MIB, sample);
  assert.ok(low.bytes < expected.bytes && expected.bytes < high.bytes);
  assert.equal(high.bytes, 1_000 * MIB);
  const untold = diskSet(1_000 * MIB, { ...sample, distinctBytes: null });
  assert.ok(untold.low.bytes < untold.expected.bytes);
  assert.equal(untold.high.bytes, 1_000 * MIB);
});

Deno.test("a disk that is not written has no set, whether its kind can tell or not", () => {
  for (const distinctBytes of [0, null]) {
    const sets = diskSet(1_000 * MIB, { writtenBytesPerSecond: 0, distinctBytes, ms: 4_000 });
    for (const end of ENDS) assert.deepEqual(sets[end], { bytes: 0, bytesPerSecond: 0 });
  }
});
