import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { BLOCK_BYTES } from "../image/block_digest.ts";
import { BLOCK_KNOWN, BLOCK_UNKNOWN, BLOCK_ZERO, BlockMap } from "../image/block_map.ts";
import { ByteSink } from "./bytes.ts";
import { DiskOfferReader, endOfOffer, offerBlocks } from "./disk_offer.ts";

const BLOCKS = 70_000;
const SIZE_BYTES = BLOCKS * BLOCK_BYTES;

const isBatchInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

const anyMap = fc.array(
  fc.record({
    state: fc.constantFrom(BLOCK_UNKNOWN, BLOCK_ZERO, BLOCK_KNOWN),
    first: fc.nat(BLOCKS - 1),
    count: fc.oneof(fc.nat(20), fc.nat(BLOCKS)),
  }),
  { maxLength: 12 },
).map((ranges) => {
  const map = new BlockMap(SIZE_BYTES);
  for (const { state, first, count } of ranges) {
    const end = Math.min(BLOCKS, first + count);
    if (state !== BLOCK_KNOWN) map.setRange(first, end - first, state);
    else {
      for (let block = first; block < end; block++) {
        map.setDigest(block, Uint32Array.of(block, first, ~block, count));
      }
    }
  }
  return map;
});

function assertSame(one: BlockMap, other: BlockMap): void {
  assert.deepEqual([...one.runs()], [...other.runs()]);
  for (const { first, count, state } of one.runs()) {
    for (let block = first; state === BLOCK_KNOWN && block < first + count; block++) {
      for (let word = 0; word < 4; word++) {
        if (one.digestWord(block, word) !== other.digestWord(block, word)) {
          assert.fail(`block ${block} differs`);
        }
      }
    }
  }
}

Deno.test("an offer of several disks comes back as it was, in payloads that fit frames", () => {
  fc.assert(
    fc.property(fc.array(anyMap, { minLength: 1, maxLength: 3 }), (maps) => {
      const read = maps.map(() => new BlockMap(SIZE_BYTES));
      const reader = new DiskOfferReader(read);
      for (const [disk, map] of maps.entries()) {
        for (const payload of offerBlocks(disk, map)) {
          assert.ok(payload.byteLength < 200 * 1024);
          reader.read(payload);
        }
      }
      assert.ok(!reader.complete);
      reader.read(endOfOffer(maps.length - 1, maps.at(-1)!));
      assert.ok(reader.complete);
      maps.forEach((map, disk) => assertSame(map, read[disk]));
    }),
    { numRuns: 10 },
  );
});

Deno.test("an offer may be made in parts, and one of a disk that has no map is dropped", () => {
  const map = new BlockMap(SIZE_BYTES);
  for (let block = 0; block < BLOCKS; block += 3) {
    map.setDigest(block, new Uint32Array(4).fill(block));
  }
  const read = new BlockMap(SIZE_BYTES);
  const reader = new DiskOfferReader([null, read]);
  for (const payload of offerBlocks(0, map, 100, 50)) reader.read(payload);
  for (let first = 0; first < BLOCKS; first += 7000) {
    for (const payload of offerBlocks(1, map, first, 7000)) reader.read(payload);
  }
  assertSame(map, read);
});

Deno.test("a fresh disk of any size costs a few bytes", () => {
  const map = new BlockMap(2 ** 45);
  map.setRange(0, map.blockCount, BLOCK_ZERO);
  const [payload, ...more] = offerBlocks(0, map);
  assert.ok(payload.byteLength < 16 && more.length === 0);
});

Deno.test("an offer that is cut at any byte, or goes on, is refused", () => {
  const map = new BlockMap(64 * BLOCK_BYTES);
  map.setRange(0, 20, BLOCK_ZERO);
  for (let block = 30; block < 34; block++) map.setDigest(block, new Uint32Array(4).fill(block));
  const [payload] = offerBlocks(0, map);
  for (let cut = 0; cut < payload.byteLength; cut++) {
    const read = () =>
      new DiskOfferReader([new BlockMap(map.sizeBytes)]).read(payload.slice(0, cut));
    assert.throws(read, isBatchInvalid, `cut at ${cut}`);
  }
  const longer = new Uint8Array([...payload, 0]);
  assert.throws(
    () => new DiskOfferReader([new BlockMap(map.sizeBytes)]).read(longer),
    isBatchInvalid,
  );
});

Deno.test("lengths and places that do not fit are refused before anything is made of them", () => {
  const blocks = 1000;
  const payloadOf = (...fields: number[]) => {
    const sink = new ByteSink();
    for (const field of fields) sink.varint(field);
    return sink.view().slice();
  };
  const refused: Record<string, number[][]> = {
    "a disk that is not there": [[2, 0, 0, 1, 4 * 1 + 1]],
    "blocks behind the end": [[0, 0, 0, 1, 4 * 1001 + 1]],
    "a first block behind the end": [[0, 1001, 0, 1, 4 * 1 + 1]],
    "no blocks": [[0, 0, 0, 1, 1]],
    "a state that is none": [[0, 0, 0, 1, 4 * 1 + 3]],
    "digests that do not follow": [[0, 0, 0, 1, 4 * 900 + 2]],
    "digests that nothing could hold": [[0, 0, 0, 1, 4 * 2 ** 50 + 2]],
    "the same for a disk without a map": [[1, 0, 0, 1, 4 * 2 ** 50 + 2]],
    "more runs than bytes": [[0, 0, 0, 2 ** 40, 4 * 1 + 1]],
    "no runs": [[0, 0, 0, 0]],
    "a mark that is none": [[0, 0, 2, 0]],
    "blocks that were offered": [[0, 0, 0, 1, 4 * 10 + 1], [0, 9, 0, 1, 4 * 10 + 1]],
    "a disk that was before": [[1, 0, 0, 1, 4 * 10 + 1], [0, 9, 0, 1, 4 * 10 + 1]],
    "more after the end": [[0, 0, 1, 0], [0, 0, 1, 0]],
  };
  for (const [what, payloads] of Object.entries(refused)) {
    const reader = new DiskOfferReader([new BlockMap(blocks * BLOCK_BYTES), null]);
    const last = payloads.length - 1;
    for (const before of payloads.slice(0, last)) reader.read(payloadOf(...before));
    assert.throws(() => reader.read(payloadOf(...payloads[last])), isBatchInvalid, what);
  }
});

Deno.test("any bytes are read as an offer or refused, and never anything else", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
    const reader = new DiskOfferReader([new BlockMap(SIZE_BYTES), new BlockMap(BLOCK_BYTES)]);
    try {
      reader.read(bytes);
    } catch (thrown) {
      assert.ok(isBatchInvalid(thrown), String(thrown));
    }
  }));
});
