import assert from "node:assert/strict";
import fc from "fast-check";
import { GatewayError } from "../core/errors.ts";
import type { MemoryItem } from "../guest/memory_items.ts";
import { BATCH_BYTES_MAX, BATCH_HEADER_BYTES } from "./envelope.ts";
import { encodeMemoryBatch } from "./memory_batch.ts";
import { createMemoryDecoder } from "./memory_decoder.ts";
import { createMemoryEncoder } from "./memory_encoder.ts";
import { PageImage } from "../image/page_image.ts";
import type { Layout } from "./memory_layout.ts";

const PAGE = 512;
const LAYOUT: Layout = {
  kind: "layout",
  pageBytes: PAGE,
  section: 2,
  blocks: [{ name: "pc.ram", lengthBytes: 64 * PAGE }, { name: "vga.vram", lengthBytes: 3 * PAGE }],
};

const isBatchInvalid = (thrown: unknown) =>
  thrown instanceof GatewayError && thrown.code === "batch_invalid";

/** Contents of a page that depend on its index: sometimes text-like, sometimes noise. */
function pageBytes(index: number): Uint8Array {
  const bytes = new Uint8Array(PAGE);
  let x = index * 2_654_435_761 >>> 0 || 1;
  for (let i = 0; i < PAGE; i++) {
    x ^= x << 13, x ^= x >>> 17, x ^= x << 5;
    bytes[i] = index % 2 === 0 ? x : i % 7;
  }
  return bytes;
}

function pagesItem(block: number, indexes: readonly number[]): MemoryItem {
  const contents = new Uint8Array(indexes.length * PAGE);
  indexes.forEach((index, i) => contents.set(pageBytes(index), i * PAGE));
  return { kind: "pages", block, pageIndexes: Uint32Array.from(indexes), contents };
}

const anyItem: fc.Arbitrary<MemoryItem> = fc.oneof(
  fc.array(fc.nat(63), { minLength: 1, maxLength: 200 }).map((indexes) => pagesItem(0, indexes)),
  fc.array(fc.nat(2), { minLength: 1, maxLength: 5 }).map((indexes) => pagesItem(1, indexes)),
  fc.array(fc.tuple(fc.nat(31), fc.integer({ min: 1, max: 32 })), { minLength: 1, maxLength: 9 })
    .map((ranges): MemoryItem => ({
      kind: "zeros",
      block: 0,
      ranges: Uint32Array.from(ranges.flat()),
    })),
  fc.uint8Array({ maxLength: 3_000 }).map((bytes): MemoryItem => ({ kind: "opaque", bytes })),
  fc.tuple(fc.uint8Array({ maxLength: 9 }), fc.string()).map(
    ([bytes, reason]): MemoryItem => ({ kind: "opaque", bytes, reason }),
  ),
  fc.constant<MemoryItem>(LAYOUT),
);
const anyItems = fc.array(anyItem, { maxLength: 8 }).map((items) => [LAYOUT, ...items]);

/** One entry for each page, zero page and opaque byte, so that cuts do not matter. */
function atoms(items: Iterable<MemoryItem>): string[] {
  const atoms: string[] = [];
  for (const item of items) {
    if (item.kind === "layout") atoms.push(JSON.stringify(item));
    else if (item.kind === "opaque") {
      if (item.reason !== undefined) atoms.push(`reason ${item.reason}`);
      for (const byte of item.bytes) atoms.push(`byte ${byte}`);
    } else if (item.kind === "zeros") {
      for (let i = 0; i < item.ranges.length; i += 2) {
        atoms.push(`zero ${item.block} ${item.ranges[i]} ${item.ranges[i + 1]}`);
      }
    } else {
      item.pageIndexes.forEach((index, i) => {
        const page = item.contents.subarray(i * PAGE, (i + 1) * PAGE);
        atoms.push(`page ${item.block} ${index} ${page.join()}`);
      });
    }
  }
  return atoms;
}

Deno.test("items come back as they were", () => {
  fc.assert(fc.property(anyItems, fc.constantFrom(-3, 1, 3), (items, level) => {
    const decoded = createMemoryDecoder().decode(encodeMemoryBatch(items, { level }));
    assert.deepEqual(atoms(decoded), atoms(items));
  }));
});

Deno.test("a stream cut into batches anywhere comes back whole, and every batch fits a frame", () => {
  fc.assert(fc.property(fc.array(anyItems, { maxLength: 5 }), fc.nat(2), (groups, flushEvery) => {
    const encoder = createMemoryEncoder({ targetBytes: 65_536 });
    const decoder = createMemoryDecoder();
    const decoded: MemoryItem[] = [];
    groups.forEach((group, i) => {
      const batches = [...encoder.add(group)];
      if (i % (flushEvery + 1) === 0 || i === groups.length - 1) batches.push(...encoder.flush());
      for (const batch of batches) {
        assert.ok(batch.byteLength <= BATCH_BYTES_MAX);
        decoded.push(...decoder.decode(batch));
      }
    });
    assert.deepEqual(atoms(decoded), atoms(groups.flat()));
    const { offeredBytes } = encoder.totals;
    assert.equal(offeredBytes, groups.flat().reduce((sum, item) => sum + bytesOf(item), 0));
  }));
});

function bytesOf(item: MemoryItem): number {
  if (item.kind === "pages") return item.contents.byteLength;
  if (item.kind === "opaque") return item.bytes.byteLength;
  if (item.kind === "layout") return 0;
  return item.ranges.reduce((sum, count, i) => sum + (i % 2 === 1 ? count * PAGE : 0), 0);
}

Deno.test("the maker may use its buffers again as soon as an item was added", () => {
  const encoder = createMemoryEncoder();
  const item = pagesItem(0, [1, 2, 3]) as Extract<MemoryItem, { kind: "pages" }>;
  const expected = atoms([LAYOUT, pagesItem(0, [1, 2, 3])]);
  assert.deepEqual([...encoder.add([LAYOUT, item])], []);
  item.contents.fill(0xff);
  item.pageIndexes.fill(9);
  const [batch] = encoder.flush();
  assert.deepEqual(atoms(createMemoryDecoder().decode(batch)), expected);
});

Deno.test("the encoder says how much it was given and what became of it", () => {
  const encoder = createMemoryEncoder();
  const zeros: MemoryItem = { kind: "zeros", block: 0, ranges: Uint32Array.of(4, 10, 40, 1) };
  const opaque: MemoryItem = { kind: "opaque", bytes: new Uint8Array(100) };
  assert.deepEqual([...encoder.add([LAYOUT, zeros, pagesItem(0, [1, 3]), opaque])], []);
  const [payload] = encoder.flush();
  const { offeredBytes, payloadBytes, saved } = encoder.totals;
  assert.equal(offeredBytes, 13 * PAGE + 100);
  assert.equal(payloadBytes, payload.byteLength);
  assert.equal(saved.zero, 11 * PAGE);
  assert.equal(saved.compression, 2 * PAGE + 100 - payloadBytes);
  assert.ok(payloadBytes < 300, "text-like pages compress");
  assert.deepEqual([...encoder.flush()], []);
});

Deno.test("what zstd cannot shrink travels raw, with the description as its only cost", () => {
  const noise = pagesItem(0, [0, 2, 4, 6, 8, 10, 12, 14]);
  const payload = encodeMemoryBatch([noise], { layout: LAYOUT });
  assert.equal(payload[1], 0);
  assert.ok(payload.byteLength - 8 * PAGE < 30);
});

Deno.test("a batch that is cut at any byte is refused", () => {
  for (const indexes of [[1, 3, 5], [0, 2]]) {
    const payload = encodeMemoryBatch([LAYOUT, pagesItem(0, indexes)]);
    for (let bytes = 0; bytes < payload.byteLength; bytes++) {
      const cut = payload.slice(0, bytes);
      assert.throws(() => createMemoryDecoder().decode(cut), isBatchInvalid, `cut at ${bytes}`);
    }
  }
});

Deno.test("a flipped bit in a compressed batch never passes as other contents", () => {
  const items = [LAYOUT, pagesItem(0, [1, 3, 5])];
  const payload = encodeMemoryBatch(items);
  assert.equal(payload[1], 1);
  for (let bit = BATCH_HEADER_BYTES * 8; bit < payload.byteLength * 8; bit++) {
    const flipped = payload.slice();
    flipped[bit >> 3] ^= 1 << (bit & 7);
    try {
      assert.deepEqual(atoms(createMemoryDecoder().decode(flipped)), atoms(items));
    } catch (thrown) {
      // Some bits of a zstd header carry no meaning; the rest must be caught.
      if (!isBatchInvalid(thrown)) throw thrown;
    }
  }
});

Deno.test("garbage is refused as batch_invalid and by nothing else", () => {
  const valid = encodeMemoryBatch([pagesItem(0, [0, 2]), pagesItem(1, [0])], { layout: LAYOUT });
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 400 }),
    // A right header, so that the description is reached.
    fc.tuple(fc.nat(40), fc.uint8Array({ maxLength: 100 })).map(([contentsBytes, rest]) => {
      const payload = new Uint8Array(BATCH_HEADER_BYTES + rest.byteLength);
      const header = new DataView(payload.buffer);
      header.setUint8(0, 1);
      header.setUint32(4, Math.min(contentsBytes, rest.byteLength));
      header.setUint32(8, rest.byteLength - Math.min(contentsBytes, rest.byteLength));
      header.setUint32(12, rest.byteLength);
      payload.set(rest, BATCH_HEADER_BYTES);
      return payload;
    }),
    fc.array(fc.tuple(fc.nat(valid.byteLength - 1), fc.nat(255)), { minLength: 1 }).map((edits) => {
      const edited = valid.slice();
      for (const [at, byte] of edits) edited[at] = byte;
      return edited;
    }),
  );
  fc.assert(
    fc.property(garbage, (payload) => {
      const decoder = createMemoryDecoder();
      decoder.decode(encodeMemoryBatch([LAYOUT]));
      try {
        for (const item of decoder.decode(payload)) {
          if (item.kind === "pages") assert.ok(Math.max(...item.pageIndexes) < 64);
        }
      } catch (thrown) {
        if (!isBatchInvalid(thrown)) throw thrown;
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("lengths that the batch does not hold are refused before they size anything", () => {
  const bomb = (contentsBytes: number, descriptionBytes: number) => {
    const payload = encodeMemoryBatch([LAYOUT, pagesItem(0, [1])]).slice();
    const header = new DataView(payload.buffer);
    header.setUint32(4, contentsBytes);
    header.setUint32(8, descriptionBytes);
    return payload;
  };
  for (const [a, b] of [[0xffff_ffff, 0xffff_ffff], [2 ** 20, 0], [0, 1], [PAGE, 10], [0, 0]]) {
    assert.throws(() => createMemoryDecoder().decode(bomb(a, b)), isBatchInvalid, `${a} ${b}`);
  }
});

Deno.test("pages outside of the layout are refused on both sides", () => {
  const bigger: Layout = { ...LAYOUT, blocks: [{ name: "pc.ram", lengthBytes: 100 * PAGE }] };
  const beyond: [string, MemoryItem][] = [
    ["page", pagesItem(0, [64])],
    ["zeros", { kind: "zeros", block: 0, ranges: Uint32Array.of(60, 5) }],
  ];
  for (const [name, item] of beyond) {
    assert.throws(() => encodeMemoryBatch([item], { layout: LAYOUT }), TypeError, name);
    const decoder = createMemoryDecoder();
    decoder.decode(encodeMemoryBatch([LAYOUT]));
    const payload = encodeMemoryBatch([item], { layout: bigger });
    assert.throws(() => decoder.decode(payload), isBatchInvalid, name);
  }
  const early = encodeMemoryBatch([pagesItem(0, [0])], { layout: LAYOUT });
  assert.throws(() => createMemoryDecoder().decode(early), isBatchInvalid);
});

Deno.test("a refused batch leaves the decoder's layout as it was", () => {
  const decoder = createMemoryDecoder();
  decoder.decode(encodeMemoryBatch([LAYOUT]));
  const wider: Layout = { ...LAYOUT, pageBytes: 1024 };
  const payload = encodeMemoryBatch([wider, { kind: "opaque", bytes: Uint8Array.of(1, 2, 3) }]);
  assert.equal(payload[1], 0, "raw, so that the edit below reaches the description");
  payload[payload.byteLength - 4] = 200;
  assert.throws(() => decoder.decode(payload), isBatchInvalid);
  assert.equal(decoder.layout?.pageBytes, PAGE);
});

Deno.test("layouts that no machine has are refused", () => {
  const bad: [string, Partial<Layout>][] = [
    ["tiny pages", { pageBytes: 256 }],
    ["odd pages", { pageBytes: 1000 }],
    ["huge pages", { pageBytes: 131_072 }],
    ["same name twice", { blocks: [LAYOUT.blocks[0], LAYOUT.blocks[0]] }],
    ["long name", { blocks: [{ name: "é".repeat(128), lengthBytes: 512 }] }],
    ["many blocks", {
      blocks: Array.from({ length: 1025 }, (_, i) => ({ name: `${i}`, lengthBytes: 512 })),
    }],
    ["too many pages", { blocks: [{ name: "a", lengthBytes: 2 ** 42 }] }],
  ];
  for (const [name, change] of bad) {
    assert.throws(() => encodeMemoryBatch([{ ...LAYOUT, ...change }]), TypeError, name);
  }
});

Deno.test("a batch that stands for more work than its bytes is refused, and leaves no trace", () => {
  const blocks = [{ name: "ram", lengthBytes: 2 ** 28 * 4096 }];
  const large: Layout = { kind: "layout", pageBytes: 4096, section: 2, blocks };
  const zeros = { kind: "zeros" as const, block: 0, ranges: Uint32Array.of(0, 2 ** 28) };
  let opened = 0;
  const openImage = (pageBytes: number) => {
    opened++;
    return new PageImage(pageBytes, 0, null);
  };
  const decoder = createMemoryDecoder(openImage);
  assert.equal(decoder.decode(encodeMemoryBatch([large, zeros, zeros])).length, 3);
  const again = encodeMemoryBatch(Array(100).fill(zeros), { layout: large });
  assert.throws(() => decoder.decode(again), { code: "batch_invalid", message: /zero pages/ });
  const layouts = [1, 2, 3, 4].map((section) => ({ ...large, section }));
  assert.throws(() => decoder.decode(encodeMemoryBatch(layouts)), {
    code: "batch_invalid",
    message: /a second layout/,
  });
  assert.deepEqual(decoder.layout, large);
  assert.equal(opened, 2, "the one that was refused is closed");
  decoder.close();
});
