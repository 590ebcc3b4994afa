import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import golden from "../../tests/golden/wire-v1/batches.json" with { type: "json" };
import changes from "../../tests/golden/wire-v1/changes.json" with { type: "json" };
import warm from "../../tests/golden/wire-v1/warm.json" with { type: "json" };
import offer from "../../tests/golden/wire-v1/disk-offer.json" with { type: "json" };
import type { Extent } from "../core/extents.ts";
import type { MemoryItem } from "../guest/memory_items.ts";
import { PageImage } from "../image/page_image.ts";
import { digestBlock, UNIT_BYTES } from "../image/block_digest.ts";
import { BLOCK_KNOWN, BlockMap } from "../image/block_map.ts";
import { decodeDiskBatch, encodeDiskBatch } from "./disk_batch.ts";
import { DiskOfferReader, endOfOffer, offerBlocks } from "./disk_offer.ts";
import { encodeMemoryBatch } from "./memory_batch.ts";
import { createMemoryDecoder } from "./memory_decoder.ts";
import type { Layout } from "./memory_layout.ts";
import { MemoryOfferReader, MemoryOfferWriter } from "./memory_offer.ts";
import { PageSpace } from "./page_space.ts";

const LAYOUT = golden.layout as Layout;
const DISK_BYTES = [2 ** 20, 2 ** 41];

const fromHex = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** The JSON form of an item. */
function plain(item: MemoryItem) {
  if (item.kind === "pages") {
    const { contents, pageIndexes, ...rest } = item;
    return { ...rest, pageIndexes: [...pageIndexes], contentsHex: toHex(contents) };
  }
  if (item.kind === "zeros") return { ...item, ranges: [...item.ranges] };
  if (item.kind === "layout") return item;
  const { bytes, ...rest } = item;
  return { ...rest, bytesHex: toHex(bytes) };
}

for (const batch of golden.memory) {
  Deno.test(`protocol version 1, ${batch.name}: a memory batch stays readable`, () => {
    const decoder = createMemoryDecoder();
    decoder.decode(encodeMemoryBatch([LAYOUT]));
    const items = decoder.decode(fromHex(batch.hex));
    assert.deepEqual(items.map(plain), batch.items);
    // Another zstd may choose other bytes; raw batches have only one form.
    if (batch.compression === "raw") {
      assert.equal(toHex(encodeMemoryBatch(items, { layout: LAYOUT })), batch.hex);
    }
  });
}

for (const batch of golden.disk) {
  Deno.test(`protocol version 1, ${batch.name}: a disk batch stays readable`, () => {
    const { disk, extents, contents } = decodeDiskBatch(fromHex(batch.hex), DISK_BYTES);
    assert.equal(disk, batch.disk);
    assert.deepEqual(extents, batch.extents as Extent[]);
    assert.equal(toHex(contents), batch.contentsHex);
    if (batch.compression === "raw") {
      assert.equal(toHex(encodeDiskBatch({ disk, extents, contents })), batch.hex);
    }
  });
}

Deno.test("protocol version 1: memory batches with changes stay readable", () => {
  const decoder = createMemoryDecoder((pageBytes) => new PageImage(pageBytes, 0, null));
  for (const batch of changes.batches) {
    assert.deepEqual(decoder.decode(fromHex(batch.hex)).map(plain), batch.items, batch.name);
  }
});

/** The image that the offer of the golden file is made of. */
function warmImage(): PageImage {
  const image = new PageImage(warm.layout.pageBytes, 0, null);
  for (const { page, text } of warm.kept) image.set(page, Buffer.alloc(image.pageBytes, text));
  for (const page of warm.zeros) image.setZero(page);
  return image;
}

Deno.test("protocol version 1: an offer of memory stays readable, and is made alike", () => {
  const { pageCount } = new PageSpace(warm.layout as Layout);
  const says: unknown[] = [];
  const reader = new MemoryOfferReader(pageCount, {
    unknown: (first, count) => void says.push({ unknown: [first, count] }),
    zeros: (first, count) => void says.push({ zeros: [first, count] }),
    kept(page, digest) {
      const words = [...digest].map((word) => word.toString(16).padStart(8, "0"));
      says.push({ page, digestHex: words.join("") });
    },
  });
  for (const frame of warm.offer.frames) reader.read(fromHex(frame));
  assert.equal(reader.isComplete, true);
  assert.deepEqual(says, warm.offer.says);
  const writer = new MemoryOfferWriter(warmImage(), pageCount);
  assert.deepEqual(warm.offer.frames, [toHex(writer.next())]);
});

Deno.test("protocol version 1: memory batches behind an offer stay readable", () => {
  const layout = warm.layout as Layout;
  const none = () => {
    throw new Error("another layout");
  };
  const image = warmImage();
  const writer = new MemoryOfferWriter(image, new PageSpace(layout).pageCount);
  while (!writer.isComplete) writer.next();
  const decoder = createMemoryDecoder(none, { layout, image });
  for (const { name, hex, items } of warm.batches) {
    assert.deepEqual(decoder.decode(fromHex(hex)).map(plain), items, name);
  }
});

Deno.test("protocol version 1: digests of blocks and an offer of them stay readable", () => {
  const map = new BlockMap(offer.sizeBytes);
  const reader = new DiskOfferReader([null, map]);
  for (const hex of offer.payloads) reader.read(fromHex(hex));
  assert.ok(reader.complete);
  const runs = [...map.runs(offer.first)];
  assert.deepEqual(runs, offer.runs);
  const known = runs.find(({ state }) => state === BLOCK_KNOWN)!;
  for (const [index, { text, lengthBytes, zeroUnits, digestHex }] of offer.blocks.entries()) {
    const bytes = new Uint8Array(Buffer.alloc(lengthBytes, text));
    for (const unit of zeroUnits) bytes.fill(0, unit * UNIT_BYTES, (unit + 1) * UNIT_BYTES);
    const { digest } = digestBlock(bytes, 0, lengthBytes);
    const words = [...digest].map((word) => word.toString(16).padStart(8, "0"));
    assert.equal(words.join(""), digestHex);
    assert.ok(map.hasDigest(known.first + index, digest));
  }
  const written = [...offerBlocks(1, map, offer.first), endOfOffer(1, map)];
  assert.deepEqual(written.map(toHex), offer.payloads);
});
