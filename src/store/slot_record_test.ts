import assert from "node:assert/strict";
import fc from "fast-check";
import {
  DISK,
  getRecord,
  MEMORY,
  putRecord,
  RECORD_WORDS,
  type SlotRecord,
} from "./slot_record.ts";

const anyRecord: fc.Arbitrary<SlotRecord> = fc.record({
  name: fc.array(fc.nat(2 ** 32 - 1), { minLength: 8, maxLength: 8 }).map((words) =>
    Uint32Array.from(words)
  ),
  writeNumber: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  owners: fc.array(fc.nat(65_535), { minLength: 4, maxLength: 4 }).map((owners) =>
    Uint16Array.from(owners)
  ),
  origin: fc.constantFrom(MEMORY, DISK),
}, { noNullPrototype: true });

Deno.test("a record comes back at its own slot and at no other", () => {
  fc.assert(fc.property(anyRecord, fc.nat(1e6), fc.nat(1e6), (record, slot, other) => {
    const bytes = new Uint32Array(RECORD_WORDS);
    putRecord(record, slot, bytes);
    assert.deepEqual(getRecord(bytes, slot), record);
    if (other !== slot) assert.equal(getRecord(bytes, other), null);
  }));
});

Deno.test("a record with any bit changed, or a free one, is none", () => {
  fc.assert(fc.property(anyRecord, fc.nat(32 * RECORD_WORDS - 1), (record, bit) => {
    const bytes = new Uint32Array(RECORD_WORDS);
    assert.equal(getRecord(bytes, 5), null);
    putRecord(record, 5, bytes);
    bytes[bit >>> 5] ^= 1 << (bit & 31);
    assert.equal(getRecord(bytes, 5), null);
    putRecord(null, 5, bytes);
    assert.equal(getRecord(bytes, 5), null);
  }));
});

Deno.test("half an old and half a new record is none", () => {
  fc.assert(
    fc.property(anyRecord, anyRecord, fc.integer({ min: 1, max: 63 }), (old, fresh, cut) => {
      const [before, after] = [new Uint32Array(RECORD_WORDS), new Uint32Array(RECORD_WORDS)];
      putRecord(old, 9, before);
      putRecord(fresh, 9, after);
      const torn = new Uint8Array(before.slice().buffer);
      torn.set(new Uint8Array(after.buffer, 0, cut));
      const words = new Uint32Array(torn.buffer);
      const isWhole = [before, after].some((whole) => words.every((word, i) => word === whole[i]));
      if (!isWhole) assert.equal(getRecord(words, 9), null);
    }),
  );
});
