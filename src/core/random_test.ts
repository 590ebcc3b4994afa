import assert from "node:assert/strict";
import { Random } from "./random.ts";

const BUCKETS = 256;
const DRAWS = 256_000;

/** Chi-square over 256 buckets: mean 255, standard deviation 22.6; six of them are allowed. */
function assertUniform(draw: () => number, what: string) {
  const counts = new Array(BUCKETS).fill(0);
  for (let i = 0; i < DRAWS; i++) counts[draw()]++;
  const expected = DRAWS / BUCKETS;
  const chiSquare = counts.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
  assert(chiSquare > 255 - 6 * 22.6 && chiSquare < 255 + 6 * 22.6, `${what}: ${chiSquare}`);
}

Deno.test("Random is uniform in its high and low bits, and over neighbouring seeds", () => {
  const random = new Random(7, "test");
  assertUniform(() => random.nextUint32() >>> 24, "high bits");
  assertUniform(() => random.nextUint32() & 255, "low bits");
  let seed = 0;
  assertUniform(() => new Random(seed++, "test").nextUint32() & 255, "first draws");
});

Deno.test("Random: the same seed and stream repeat, others differ", () => {
  const first = (seed: number, stream: string) => {
    const random = new Random(seed, stream);
    return [random.nextUint32(), random.nextUint32()];
  };
  assert.deepEqual(first(1, "a"), first(1, "a"));
  const all = [first(1, "a"), first(1, "b"), first(2, "a"), first(-1, "a"), first(2 ** 40, "a")];
  assert.equal(new Set(all.map(String)).size, all.length);
});

Deno.test("Random.chance() is certain at 0 and 1", () => {
  const random = new Random(1, "a");
  for (let i = 0; i < 1000; i++) assert(!random.chance(0) && random.chance(1));
});

Deno.test("Random refuses a seed that is not an integer", () => {
  for (const seed of [0.5, NaN, Infinity]) assert.throws(() => new Random(seed, ""), RangeError);
});
