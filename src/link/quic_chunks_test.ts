import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import { RECORD_BYTES_MAX } from "../wire/limits.ts";
import {
  CHUNK_HEADER_BYTES,
  endChunk,
  LaneReader,
  nextRecordNumber,
  PARTIAL_BYTES_MAX,
  putChunk,
  RecordAssembler,
} from "./quic_chunks.ts";

function header(...fields: number[]): Uint8Array {
  const bytes = new Uint8Array(CHUNK_HEADER_BYTES);
  fields.forEach((field, index) => new DataView(bytes.buffer).setUint32(4 * index, field));
  return bytes;
}

function failsWith(code: string, part: string) {
  return (error: unknown) =>
    error instanceof GatewayError && error.code === code && error.message.includes(part);
}

Deno.test("records cross any spreading over lanes and any chunking of the lanes", () => {
  const record = fc.uint8Array({ minLength: 1, maxLength: 200 });
  fc.assert(fc.property(
    fc.array(record, { maxLength: 12 }),
    fc.infiniteStream(fc.nat(2)),
    fc.infiniteStream(fc.integer({ min: 1, max: 60 })),
    (records, laneChoices, sizes) => {
      const lanes: number[][] = [[], [], []];
      const scratch = new Uint8Array(CHUNK_HEADER_BYTES + 60);
      records.forEach((bytes, number) => {
        for (let at = 0; at < bytes.length;) {
          const chunkBytes = Math.min(sizes.next().value, bytes.length - at);
          const used = putChunk(scratch, number, bytes, at, chunkBytes);
          lanes[laneChoices.next().value].push(...scratch.subarray(0, used));
          at += chunkBytes;
        }
      });
      const assembler = new RecordAssembler();
      const arrived: Uint8Array[] = [];
      // Lanes one after the other: the worst order there can be.
      for (const lane of lanes) {
        const reader = new LaneReader(assembler);
        const bytes = new Uint8Array([...lane, ...endChunk()]);
        for (let at = 0; at < bytes.length;) {
          const size = sizes.next().value;
          // The reader must not keep the buffer.
          const reused = bytes.slice(at, at + size);
          for (const complete of reader.take(reused)) arrived.push(complete);
          reused.fill(0xff);
          at += size;
        }
        assert.equal(reader.ended, true);
      }
      const text = (bytes: Uint8Array) => bytes.toHex();
      assert.deepEqual(arrived.map(text).sort(), records.map(text).sort());
      assert.equal(assembler.partialBytes, 0);
    },
  ));
});

Deno.test("a lane refuses what no sender writes", () => {
  const cases: [Uint8Array[], string, string][] = [
    [[header(1, RECORD_BYTES_MAX + 1, 0, 1)], "frame_too_long", `${RECORD_BYTES_MAX}`],
    [[header(1, 0xffffffff, 0, 1)], "frame_too_long", "4294967295"],
    [[header(1, 10, 0, 0)], "frame_invalid", "chunk of 0 bytes"],
    [[header(1, 10, 5, 6)], "frame_invalid", "6 bytes at 5 of 10"],
    [[header(1, 10, 0xffffffff, 1)], "frame_invalid", "of 10"],
    [[header(1, 0, 0, 0)], "frame_invalid", "empty record"],
    [[endChunk(), header(1, 1, 0, 1)], "frame_invalid", "follow the end"],
    [
      [header(1, 10, 0, 5), new Uint8Array(5), header(1, 11, 5, 5)],
      "frame_invalid",
      "changes its length",
    ],
    [
      [header(1, 10, 0, 8), new Uint8Array(8), header(1, 10, 0, 8)],
      "frame_invalid",
      "overlaps itself",
    ],
  ];
  for (const [parts, code, part] of cases) {
    const reader = new LaneReader(new RecordAssembler());
    assert.throws(() => parts.forEach((bytes) => [...reader.take(bytes)]), failsWith(code, part));
  }
});

Deno.test("chunks of two lanes that overlap are refused before the first is complete", () => {
  const assembler = new RecordAssembler();
  const [first, second] = [new LaneReader(assembler), new LaneReader(assembler)];
  assert.deepEqual([...first.take(header(1, 10, 0, 8)), ...first.take(new Uint8Array(2))], []);
  assert.throws(
    () => [...second.take(header(1, 10, 2, 8))],
    failsWith("frame_invalid", "overlaps itself"),
  );
});

Deno.test("incomplete records are bounded before they are allocated", () => {
  const reader = new LaneReader(new RecordAssembler());
  const recordsMax = Math.floor(PARTIAL_BYTES_MAX / RECORD_BYTES_MAX);
  const open = (number: number) => {
    for (const _ of reader.take(header(number, RECORD_BYTES_MAX, 0, 1))) assert.fail();
    for (const _ of reader.take(new Uint8Array(1))) assert.fail();
  };
  for (let number = 0; number < recordsMax; number++) open(number);
  assert.throws(() => open(recordsMax), failsWith("frame_invalid", "are incomplete"));
});

Deno.test("LaneReader answers garbage with errors of its own", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 64 })), (parts) => {
    const reader = new LaneReader(new RecordAssembler());
    try {
      for (const bytes of parts) [...reader.take(bytes)];
    } catch (error) {
      assert.ok(error instanceof GatewayError, String(error));
    }
  }));
});

Deno.test("record numbers wrap within 32 bits", () => {
  assert.equal(nextRecordNumber(0), 1);
  assert.equal(nextRecordNumber(0xffffffff), 0);
});
