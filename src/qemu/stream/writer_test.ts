import assert from "node:assert/strict";
import { GatewayError } from "../../core/errors.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { StreamBuilder } from "./testing/stream_builder.ts";
import { createStreamWriter, MAX_OUTPUT_BYTES, MAX_SECTION_BYTES } from "./writer.ts";

const LAYOUT: MemoryItem = {
  kind: "layout",
  pageBytes: 4096,
  section: 2,
  blocks: [
    { name: "a", lengthBytes: 8 * 4096 },
    { name: "b", lengthBytes: 4 * 4096 },
    { name: "large", lengthBytes: 2 ** 33 },
  ],
};

Deno.test("one section holds all pages and zeros between two opaque items", () => {
  const bytes = write([
    LAYOUT,
    { kind: "pages", block: 0, pageIndexes: Uint32Array.of(3, 1), contents: filled(2, 7) },
    { kind: "zeros", block: 0, ranges: Uint32Array.of(4, 2, 7, 1) },
    { kind: "pages", block: 1, pageIndexes: Uint32Array.of(0), contents: filled(1, 7) },
    { kind: "opaque", bytes: Uint8Array.of(1, 2, 3) },
    { kind: "zeros", block: 1, ranges: Uint32Array.of(1, 1) },
  ]);
  const page = filled(1, 7);
  const expected = new StreamBuilder(4096).openSection("part")
    .page("a", 3, page).page("a", 1, page).zero("a", 4).zero("a", 5).zero("a", 7)
    .page("b", 0, page).closeSection().raw([1, 2, 3])
    .openSection("part").zero("b", 1, true).closeSection();
  assert.deepEqual(bytes, expected.build());
});

Deno.test("offsets beyond 4 GiB are written in full", () => {
  const bytes = write([LAYOUT, {
    kind: "zeros",
    block: 2,
    ranges: Uint32Array.of(2 ** 21 - 1, 1),
  }]);
  const expected = new StreamBuilder(4096).openSection("part").zero("large", 2 ** 21 - 1);
  assert.deepEqual(bytes, expected.closeSection().build());
});

Deno.test("a long zero range leaves in bounded pieces and bounded sections", () => {
  const writer = createStreamWriter();
  assert.deepEqual([...writer.write(LAYOUT)], []);
  const pageCount = 2 ** 21;
  let bytes = 0;
  let sectionBytes = 0;
  let closings = 0;
  for (
    const piece of writer.write({
      kind: "zeros",
      block: 2,
      ranges: Uint32Array.of(0, pageCount),
    })
  ) {
    assert(piece.length <= MAX_OUTPUT_BYTES);
    bytes += piece.length;
    sectionBytes += piece.length;
    if (piece.length === 13) {
      closings++;
      assert(sectionBytes <= MAX_SECTION_BYTES);
      sectionBytes = 0;
    }
  }
  assert.equal(closings, 4);
  // Word and fill byte per page, the name once, 18 bytes of framing per section.
  assert.equal(bytes + writer.flush().length * 13, 9 * pageCount + 6 + 18 * 5);
});

Deno.test("flush closes an open section once", () => {
  const writer = createStreamWriter();
  for (const item of [LAYOUT, zeros(0, 0, 1)]) for (const _ of writer.write(item));
  assert.equal(writer.flush().length, 1);
  assert.equal(writer.flush().length, 0);
});

Deno.test("the same layout twice is accepted, as after a cancelled and repeated migration", () => {
  const twice = write([LAYOUT, zeros(0, 0, 1), LAYOUT, zeros(0, 1, 1)]);
  assert.deepEqual(twice, write([LAYOUT, zeros(0, 0, 2)]));
});

for (
  const [what, items] of [
    ["pages before a layout", [zeros(0, 0, 1)]],
    ["a block that does not exist", [LAYOUT, zeros(3, 0, 1)]],
    ["a negative block", [LAYOUT, zeros(-1, 0, 1)]],
    ["a zero range past its block", [LAYOUT, zeros(1, 3, 2)]],
    ["a zero range without a length", [
      LAYOUT,
      { kind: "zeros", block: 0, ranges: Uint32Array.of(1) },
    ]],
    ["a page past its block", [LAYOUT, {
      kind: "pages",
      block: 1,
      pageIndexes: Uint32Array.of(4),
      contents: filled(1, 1),
    }]],
    ["contents of another length", [LAYOUT, {
      kind: "pages",
      block: 1,
      pageIndexes: Uint32Array.of(1, 2),
      contents: filled(1, 1),
    }]],
    ["another layout", [LAYOUT, { ...LAYOUT, section: 3 }]],
    ["pages of 3000 bytes", [{ ...LAYOUT, pageBytes: 3000 }]],
    ["pages of 0 bytes", [{ ...LAYOUT, pageBytes: 0 }]],
    ["a block of a page and a half", [
      { ...LAYOUT, blocks: [{ name: "a", lengthBytes: 6144 }] },
    ]],
    ["a block name of 256 characters", [
      { ...LAYOUT, blocks: [{ name: "x".repeat(256), lengthBytes: 4096 }] },
    ]],
    ["a block name that one byte per character cannot hold", [
      { ...LAYOUT, blocks: [{ name: "\u2028", lengthBytes: 4096 }] },
    ]],
  ] as [string, MemoryItem[]][]
) {
  Deno.test(`${what} is refused before a byte is written`, () => {
    const writer = createStreamWriter();
    for (const item of items.slice(0, -1)) for (const _ of writer.write(item));
    assert.throws(
      () => writer.write(items.at(-1)!).next(),
      (error) => error instanceof GatewayError && error.code === "memory_item_invalid",
    );
    assert.deepEqual(writer.flush(), []);
  });
}

function zeros(block: number, firstPage: number, pageCount: number): MemoryItem {
  return { kind: "zeros", block, ranges: Uint32Array.of(firstPage, pageCount) };
}

function filled(pageCount: number, fill: number): Uint8Array {
  return new Uint8Array(pageCount * 4096).fill(fill);
}

function write(items: readonly MemoryItem[]): Uint8Array {
  const writer = createStreamWriter();
  const bytes: number[] = [];
  for (const item of items) for (const piece of writer.write(item)) bytes.push(...piece);
  for (const piece of writer.flush()) bytes.push(...piece);
  return Uint8Array.from(bytes);
}
