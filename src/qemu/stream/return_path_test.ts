import assert from "node:assert/strict";
import fc from "fast-check";
import {
  createReturnPathParser,
  encodeReturnPath,
  MAX_RETURN_PATH_BYTES,
  type ReturnPathContent,
  type ReturnPathMessage,
} from "./return_path.ts";
import { arbitraryChunking, cut } from "./testing/arbitrary_stream.ts";

const be32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const block = fc.constantFrom("pc.ram", "b", "x".repeat(255));
const content: fc.Arbitrary<ReturnPathContent> = fc.oneof(
  fc.record({ kind: fc.constant("shut" as const), status: be32 }, { noNullPrototype: true }),
  fc.record({ kind: fc.constant("pong" as const), value: be32 }, { noNullPrototype: true }),
  fc.record({
    kind: fc.constant("requestPages" as const),
    block,
    offsetBytes: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    lengthBytes: be32,
  }, { noNullPrototype: true }),
  fc.record({ kind: fc.constant("resumeAck" as const), value: be32 }, { noNullPrototype: true }),
  fc.constant({ kind: "switchoverAck" as const }),
);

Deno.test("what is encoded is parsed again, and all bytes come back, at any chunking", () => {
  fc.assert(fc.property(fc.array(content), arbitraryChunking, (contents, chunking) => {
    const bytes = concat(contents.map(encodeReturnPath));
    const messages = parse(bytes, chunking);
    assert.deepEqual(messages.map(({ bytes: _, ...content }) => content), contents);
    assert.deepEqual(concat(messages.map(({ bytes }) => bytes)), bytes);
  }));
});

Deno.test("garbage never throws and every byte is either in a message or pending", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), arbitraryChunking, (garbage, chunking) => {
      const parser = createReturnPathParser();
      const messages: ReturnPathMessage[] = [];
      for (const chunk of cut(garbage, chunking)) messages.push(...parser.push(chunk));
      const relayed = [...messages.map(({ bytes }) => bytes), parser.pendingBytes()];
      assert.deepEqual(concat(relayed), garbage);
      assert(parser.pendingBytes().length < MAX_RETURN_PATH_BYTES);
    }),
  );
});

Deno.test("the path of a plain pre-copy is PONG 1 and SHUT 0 in 16 bytes", () => {
  const bytes = Uint8Array.of(0, 2, 0, 4, 0, 0, 0, 1, 0, 1, 0, 4, 0, 0, 0, 0);
  assert.deepEqual(parse(bytes, [5]), [
    { kind: "pong", value: 1, bytes: bytes.slice(0, 8) },
    { kind: "shut", status: 0, bytes: bytes.slice(8) },
  ]);
});

Deno.test("a page request without a name means the block named last", () => {
  const named = encodeReturnPath({
    kind: "requestPages",
    block: "pc.ram",
    offsetBytes: 0x1000n,
    lengthBytes: 4096,
  });
  const bare = encodeReturnPath({
    kind: "requestPages",
    block: null,
    offsetBytes: 0x3000n,
    lengthBytes: 4096,
  });
  assert.equal(bare[1], 4);
  assert.deepEqual(parse(concat([bare, named, bare]), [100]).map(blockOf), [
    null,
    "pc.ram",
    "pc.ram",
  ]);
});

Deno.test("the bitmap behind RECV_BITMAP is passed over by its own size", () => {
  const bitmap = new Uint8Array(8 + 40 + 8).fill(0xab);
  bitmap.set([0, 0, 0, 0, 0, 0, 0, 40]);
  const bytes = concat([
    encodeReturnPath({ kind: "receivedBitmap", block: "pc.ram" }),
    bitmap,
    encodeReturnPath({ kind: "resumeAck", value: 1 }),
  ]);
  for (const chunking of [[1], [17], [1000]]) {
    const messages = parse(bytes, chunking);
    assert.equal(messages[0].kind, "receivedBitmap");
    assert.equal(messages.at(-1)?.kind, "resumeAck");
    assert(messages.slice(1, -1).every(({ kind }) => kind === "bitmapBytes"));
    assert.deepEqual(concat(messages.map(({ bytes }) => bytes)), bytes);
  }
});

Deno.test("an unknown type or length is passed over by its length", () => {
  const bytes = concat([
    Uint8Array.of(0, 99, 0, 3, 1, 2, 3),
    Uint8Array.of(0, 1, 0, 0),
    encodeReturnPath({ kind: "switchoverAck" }),
  ]);
  assert.deepEqual(parse(bytes, [2]).map(({ kind }) => kind), [
    "unknown",
    "unknown",
    "switchoverAck",
  ]);
});

function parse(bytes: Uint8Array, chunking: readonly number[]): ReturnPathMessage[] {
  const parser = createReturnPathParser();
  const messages: ReturnPathMessage[] = [];
  for (const chunk of cut(bytes, chunking)) messages.push(...parser.push(chunk));
  assert.equal(parser.pendingBytes().length, 0);
  return messages;
}

function blockOf(message: ReturnPathMessage): string | null {
  assert(message.kind === "requestPages");
  return message.block;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}
