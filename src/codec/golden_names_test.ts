import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import golden from "../../tests/golden/wire-v1/names.json" with { type: "json" };
import type { MemoryItem } from "../guest/memory_items.ts";
import { nameBuffer, nameContent, nameKey, putName, UNIT_BYTES } from "../image/content_name.ts";
import { decodeDiskBatch } from "./disk_batch.ts";
import { createMemoryDecoder } from "./memory_decoder.ts";
import type { NamedContents } from "./named_items.ts";
import { decodeNeed, decodeNeeded, encodeNeed } from "./need_frames.ts";
import { decodeStoreOffer, encodeStoreOffer } from "./store_offer.ts";

const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** The contents of the golden files: units of one byte each. */
function unit(fill: number): Uint8Array {
  return new Uint8Array(UNIT_BYTES).fill(fill);
}

function nameOf(content: Uint8Array): Uint32Array {
  const name = nameBuffer();
  nameContent(content, name);
  return name;
}

const CONTENTS = new Map(golden.fills.map((fill) => [nameKey(nameOf(unit(fill))), unit(fill)]));
const named: NamedContents = {
  resolve(name, into) {
    const content = CONTENTS.get(nameKey(name));
    if (content !== undefined) into.set(content);
    return content !== undefined;
  },
  arrived() {},
};

/** The byte that fills each unit of some contents. */
function fillsOf(contents: Uint8Array): number[] {
  return Array.from({ length: contents.byteLength / UNIT_BYTES }, (_, i) => {
    const bytes = contents.subarray(i * UNIT_BYTES, (i + 1) * UNIT_BYTES);
    assert.ok(bytes.every((byte) => byte === bytes[0]));
    return bytes[0];
  });
}

Deno.test("protocol version 1: offers stay readable", () => {
  const { hex, hints, isLast } = golden.offer;
  assert.deepEqual(decodeStoreOffer(fromHex(hex)), { hints: Float64Array.from(hints), isLast });
  assert.equal(toHex([...encodeStoreOffer(Float64Array.from(hints))][0]), hex);
});

Deno.test("protocol version 1: batches that name contents stay readable", () => {
  const decoder = createMemoryDecoder(null, null, named);
  const items = golden.memory.hex.flatMap((hex) => decoder.decode(fromHex(hex)));
  const pages = items.filter((item): item is Extract<MemoryItem, { kind: "pages" }> =>
    item.kind === "pages"
  );
  const plain = pages.map(({ block, pageIndexes, contents }) => ({
    block,
    pageIndexes: [...pageIndexes],
    fills: fillsOf(contents),
  }));
  assert.deepEqual(plain, golden.memory.pages);
  const { hex, extents, fills } = golden.disk;
  const batch = decodeDiskBatch(fromHex(hex), [2 ** 20], named);
  assert.deepEqual(batch.extents, extents);
  assert.deepEqual(fillsOf(batch.contents), fills);
});

Deno.test("protocol version 1: a NEED and its answer stay readable", () => {
  const { hex, channel, number, names } = golden.need;
  const need = decodeNeed(fromHex(hex));
  assert.equal(need.channel, channel);
  assert.equal(need.number, number);
  const shown = need.names.map((name) => {
    const bytes = new Uint8Array(32);
    putName(name, bytes);
    return toHex(bytes);
  });
  assert.deepEqual(shown, names);
  assert.equal(toHex(encodeNeed(need)), hex);
  const answer = decodeNeeded(fromHex(golden.answer.hex));
  assert.equal(answer.number, number);
  assert.deepEqual(answer.contents.map(fillsOf).flat(), golden.answer.fills);
  const content = nameOf(answer.contents[0]);
  assert.equal(nameKey(content), nameKey(need.names[0]));
});
