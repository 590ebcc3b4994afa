import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { CHANNEL_KINDS } from "./channel_kind.ts";
import { decodeRecord, encodeFrame, encodeRecord, type Frame } from "./frame.ts";
import { FRAME_TYPES, frameTypeName } from "./frame_types.ts";
import { FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX, RECORD_BYTES_MAX } from "./limits.ts";
import { migrationIdBytes, migrationIdText } from "./migration_id.ts";

const hasCode = (code: string) => (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === code;

const anyFrame = fc.record({
  migrationId: fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) =>
    migrationIdText(bytes)
  ),
  kind: fc.constantFrom(...CHANNEL_KINDS),
  opening: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  answers: fc.maxSafeNat(),
  sequence: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  type: fc.integer({ min: 1, max: 255 }),
  payload: fc.uint8Array({ maxLength: 300 }),
}, { noNullPrototype: true });

const encode = ({ migrationId, ...frame }: Frame) =>
  encodeFrame(migrationIdBytes(migrationId), frame);

Deno.test("frames come back as they were, at any place of a larger buffer", () => {
  fc.assert(fc.property(anyFrame, fc.nat(9), (frame, offset) => {
    const bytes = encode(frame);
    const store = new Uint8Array(offset + bytes.byteLength + 5).fill(0xee);
    store.set(bytes, offset);
    const decoded = decodeRecord(store.subarray(offset, offset + bytes.byteLength));
    assert.deepEqual(decoded, { record: "frame", frame });
  }));
});

Deno.test("a record that is cut at any byte, or goes on after its end, is refused", () => {
  fc.assert(
    fc.property(anyFrame, fc.uint8Array({ maxLength: 40 }), (frame, payload) => {
      for (const bytes of [encode(frame), encodeRecord(2, payload)]) {
        for (let cut = 0; cut < bytes.byteLength; cut++) {
          assert.throws(() => decodeRecord(bytes.subarray(0, cut)), hasCode("frame_invalid"));
        }
        const longer = new Uint8Array([...bytes, 0]);
        assert.throws(() => decodeRecord(longer), hasCode("frame_invalid"));
      }
    }),
    { numRuns: 30 },
  );
});

Deno.test("garbage is refused by code and by nothing else", () => {
  const edited = fc.tuple(anyFrame, fc.array(fc.tuple(fc.nat(FRAME_HEADER_BYTES - 1), fc.nat(255))))
    .map(([frame, edits]) => {
      const bytes = encode(frame);
      for (const [at, byte] of edits) bytes[at] = byte;
      return bytes;
    });
  fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 100 }), edited), (bytes) => {
    try {
      decodeRecord(bytes);
    } catch (thrown) {
      if (!hasCode("frame_invalid")(thrown) && !hasCode("frame_too_long")(thrown)) throw thrown;
    }
  }));
});

Deno.test("each field that the header restricts is refused outside of its range", () => {
  const frame: Frame = {
    migrationId: "00000000-0000-4000-8000-000000000000",
    kind: "disk",
    opening: 1,
    answers: 0,
    sequence: 1,
    type: 32,
    payload: new Uint8Array(4),
  };
  const cases: [string, number, readonly number[]][] = [
    ["record type 0", 0, [0]],
    ["channel kind", 1, [5]],
    ["frame type 0", 2, [0]],
    ["reserved byte", 3, [1]],
    ["payload too short", 7, [3]],
    ["sequence 0", 8, [0, 0, 0, 0, 0, 0, 0, 0]],
    ["sequence beyond 2^53", 8, [0, 0x20, 0, 0, 0, 0, 0, 0]],
    ["opening 0", 16, [0, 0, 0, 0, 0, 0, 0, 0]],
    ["answers beyond 2^53", 24, [0xff]],
  ];
  for (const [name, at, change] of cases) {
    const bytes = encode(frame);
    bytes.set(change, at);
    assert.throws(() => decodeRecord(bytes), hasCode("frame_invalid"), name);
  }
  const other = encodeRecord(200, Uint8Array.of(1));
  assert.deepEqual(decodeRecord(other), { record: "other", type: 200, payload: Uint8Array.of(1) });
  other[2] = 1;
  assert.throws(() => decodeRecord(other), hasCode("frame_invalid"));
});

Deno.test("a payload may be as long as the limit and no longer, in both directions", () => {
  const longest = encodeRecord(2, new Uint8Array(PAYLOAD_BYTES_MAX));
  assert.equal(decodeRecord(longest).record, "other");
  assert.ok(longest.byteLength <= RECORD_BYTES_MAX);
  const longer = new Uint8Array(PAYLOAD_BYTES_MAX + 1);
  assert.throws(() => encodeRecord(2, longer), hasCode("frame_too_long"));
  const announced = encodeRecord(2, new Uint8Array(1));
  new DataView(announced.buffer).setUint32(4, PAYLOAD_BYTES_MAX + 1);
  assert.throws(() => decodeRecord(announced), hasCode("frame_too_long"));
});

Deno.test("frame types have one number each, and names for logs", () => {
  const numbers = Object.values(FRAME_TYPES);
  assert.equal(new Set(numbers).size, numbers.length);
  assert.ok(numbers.every((number) => number > 0 && number < 256));
  assert.equal(frameTypeName(16), "memoryBatch");
  assert.equal(frameTypeName(255), undefined);
});

Deno.test("only lower-case UUIDs are migration ids", () => {
  for (
    const id of [
      "",
      "x",
      "0190F5D2-7C4E-7A31-9B57-1F2E3D4C5B6A",
      "0190f5d27c4e7a319b571f2e3d4c5b6a",
    ]
  ) {
    assert.throws(() => migrationIdBytes(id), TypeError, id);
  }
});
