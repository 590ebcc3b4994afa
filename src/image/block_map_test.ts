import assert from "node:assert/strict";
import fc from "fast-check";
import { BLOCK_BYTES, digestBlock, isZeroUnit, sameUnit, UNIT_BYTES } from "./block_digest.ts";
import { BLOCK_KNOWN, BLOCK_UNKNOWN, BLOCK_ZERO, BlockMap, mapOf } from "./block_map.ts";
import { UnitDigests } from "./unit_digests.ts";

/** More than two pieces of 16,384 blocks, the last one short. */
const BLOCKS = 40_000;
const SIZE_BYTES = BLOCKS * BLOCK_BYTES - 512;

const anyStep = fc.oneof(
  fc.record({
    state: fc.constantFrom(BLOCK_UNKNOWN, BLOCK_ZERO),
    first: fc.nat(BLOCKS - 1),
    count: fc.oneof(fc.nat(100), fc.nat(BLOCKS)),
  }),
  fc.record({
    state: fc.constant(BLOCK_KNOWN),
    first: fc.nat(BLOCKS - 1),
    count: fc.nat({ max: 2 ** 32 - 1 }),
  }),
);

Deno.test("a block map says of each block what was said last, and runs cover it all", () => {
  fc.assert(
    fc.property(fc.array(anyStep, { maxLength: 30 }), (steps) => {
      const map = new BlockMap(SIZE_BYTES);
      const states = new Uint8Array(BLOCKS);
      const digests = new Map<number, number>();
      for (const { state, first, count } of steps) {
        if (state === BLOCK_KNOWN) {
          map.setDigest(first, Uint32Array.of(9, count, 1, 2, 3), 1);
          states[first] = BLOCK_KNOWN;
          digests.set(first, count);
        } else {
          const end = Math.min(BLOCKS, first + count);
          map.setRange(first, end - first, state);
          states.fill(state, first, end);
        }
      }
      let next = 0;
      for (const { first, count, state } of map.runs()) {
        assert.equal(first, next);
        for (let block = first; block < first + count; block++) assert.equal(states[block], state);
        next += count;
      }
      assert.equal(next, BLOCKS);
      for (const [block, word] of digests) {
        const isKnown = states[block] === BLOCK_KNOWN;
        assert.equal(map.stateOf(block), states[block]);
        assert.equal(map.hasDigest(block, Uint32Array.of(word, 1, 2, 3)), isKnown);
        assert.ok(!map.hasDigest(block, Uint32Array.of(word, 1, 2, 4)));
      }
    }),
    { numRuns: 60 },
  );
});

Deno.test("runs of a part of a map begin and end where they are asked to", () => {
  const map = new BlockMap(SIZE_BYTES);
  map.setRange(10, BLOCKS - 10, BLOCK_ZERO);
  assert.deepEqual([...map.runs(5, 20_000)], [
    { first: 5, count: 5, state: BLOCK_UNKNOWN },
    { first: 10, count: 19_995, state: BLOCK_ZERO },
  ]);
  assert.equal(map.bytesOf(0), BLOCK_BYTES);
  assert.equal(map.bytesOf(BLOCKS - 1), BLOCK_BYTES - 512);
});

Deno.test("a block map refuses blocks that it does not have, and a disk may be too large for one", () => {
  const map = new BlockMap(SIZE_BYTES);
  assert.throws(() => map.setRange(BLOCKS - 1, 2, BLOCK_ZERO), RangeError);
  assert.throws(() => map.setDigest(BLOCKS, new Uint32Array(4)), RangeError);
  assert.equal(mapOf(2 ** 49), null);
  assert.equal([...new BlockMap(0).runs()].length, 0);
});

Deno.test("a block's digest follows from all of its bytes, its units' from theirs", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: BLOCK_BYTES }),
      fc.nat(BLOCK_BYTES - 1),
      fc.integer({ min: 1, max: 255 }),
      (lengthBytes, place, change) => {
        const bytes = new Uint8Array(lengthBytes + 3);
        for (let at = 0; at < bytes.length; at += 3 * UNIT_BYTES) {
          bytes.fill(at % 254 + 1, at, at + UNIT_BYTES);
        }
        const one = digestBlock(bytes, 3, lengthBytes);
        const copy = bytes.slice(3);
        const at = place % lengthBytes;
        copy[at] ^= change;
        const other = digestBlock(copy, 0, lengthBytes);
        assert.notDeepEqual(one.digest, other.digest);
        for (let unit = 0; unit * UNIT_BYTES < lengthBytes; unit++) {
          const same = Math.floor(at / UNIT_BYTES) !== unit;
          assert.equal(sameUnit(one.units, other.units, unit), same);
          const part = copy.subarray(unit * UNIT_BYTES, (unit + 1) * UNIT_BYTES);
          assert.equal(isZeroUnit(other.units, unit), part.every((byte) => byte === 0));
        }
        copy[at] ^= change;
        assert.deepEqual(digestBlock(copy, 0, lengthBytes).digest, one.digest);
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("a block is zero when every byte of it is", () => {
  for (const lengthBytes of [1, 4095, 4097, BLOCK_BYTES]) {
    const bytes = new Uint8Array(lengthBytes);
    assert.ok(digestBlock(bytes, 0, lengthBytes).isZero);
    bytes[lengthBytes - 1] = 1;
    assert.ok(!digestBlock(bytes, 0, lengthBytes).isZero);
  }
});

Deno.test("digests of units keep their bound, and those put in last win", () => {
  const units = new UnitDigests(10 * 320);
  const of = (seed: number) => new Uint32Array(64).fill(seed);
  for (let block = 0; block < 10; block++) units.set(0, block, of(block));
  units.set(0, 0, of(100));
  for (let block = 10; block < 15; block++) units.set(1, block, of(block));
  assert.equal(units.blockCount, 10);
  assert.deepEqual(units.get(0, 0), of(100));
  for (let block = 1; block <= 5; block++) assert.equal(units.get(0, block), null);
  for (let block = 6; block < 10; block++) assert.deepEqual(units.get(0, block), of(block));
  for (let block = 10; block < 15; block++) {
    assert.deepEqual(units.get(1, block), of(block));
    assert.equal(units.get(0, block), null);
  }
});
