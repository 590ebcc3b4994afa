import assert from "node:assert/strict";
import fc from "fast-check";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { MAX_HELD_BYTES } from "./format.ts";
import { createStreamReader } from "./reader.ts";
import { arbitraryChunking } from "./testing/arbitrary_stream.ts";
import { concat, opaqueBytes, read, rewrite, twoBlocks } from "./testing/round_trip.ts";
import { StreamBuilder } from "./testing/stream_builder.ts";
import { loadStream } from "./testing/stream_loader.ts";

Deno.test("bytes that are no stream stay verbatim, and the reader says why", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), arbitraryChunking, (garbage, chunking) => {
      fc.pre(garbage[0] !== 0x51);
      const { items, reader } = read(garbage, chunking);
      assert(items.every(({ kind }) => kind === "opaque"));
      assert.deepEqual(opaqueBytes(items), garbage);
      const reasons = items.filter((item) => item.kind === "opaque" && item.reason !== undefined);
      assert.equal(reasons.length, garbage.length > 0 ? 1 : 0);
      assert.equal(reader.phase, garbage.length > 0 ? "opaque" : "prelude");
    }),
  );
});

Deno.test("garbage behind a stream's beginning never throws, grows or gets lost", () => {
  const prelude = new StreamBuilder(4096).fileHeader().configuration().build();
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), arbitraryChunking, (garbage, chunking) => {
      const bytes = concat([prelude, garbage]);
      const { items, reader } = read(bytes, chunking);
      if (items.every(({ kind }) => kind === "opaque") && !items.some(isEmptySection)) {
        assert.deepEqual(opaqueBytes(items), bytes);
      }
      assert(reader.stats.heldBytes <= MAX_HELD_BYTES);
    }),
  );
});

Deno.test("an unknown record inside a section follows a header and its block, named anew", () => {
  for (const kind of ["part", "end"] as const) {
    const stream = twoBlocks().openSection("part").page("b", 1, page(7)).closeSection();
    stream.openSection(kind).zero("b", 2).be(8, 0x3000 + 0x60).raw([1, 0, 3, 9, 1, 0xaa]);
    stream.closeSection();
    const { items } = read(stream.build(), [50]);
    const gaveUp = items.findIndex((item) => item.kind === "opaque" && item.reason !== undefined);
    const first = items[gaveUp] as MemoryItem & { kind: "opaque" };
    assert.equal(first.reason, "memory record with flags 0x60");
    const expected = new StreamBuilder(4096).openSection(kind)
      .record(0x40, "b", 2, [1, 0, 0], true)
      .be(8, 0x3000 + 0x60).raw([1, 0, 3, 9, 1, 0xaa]).closeSection().build();
    assert.deepEqual(opaqueBytes(items.slice(gaveUp)), expected);
    assert.deepEqual(loadStream(rewrite(stream.build(), [50])), loadStream(stream.build()));
  }
});

for (
  const [what, bytes, reason] of [
    ["file version 4", new StreamBuilder(4096).be(4, 0x5145564d).be(4, 4), "file version 4"],
    [
      "a machine name of 4 GiB",
      new StreamBuilder(4096).fileHeader().be(1, 7).be(4, 2 ** 32 - 1),
      "a machine name of 4294967295 bytes",
    ],
    [
      "the mapped-ram capability",
      new StreamBuilder(4096).fileHeader().configuration().be(1, 5)
        .str8("configuration/capabilities").be(4, 1).be(4, 1).str8("mapped-ram"),
      "capability mapped-ram",
    ],
    [
      "more memory than exists",
      ramList().be(8, 2 ** 50 + 4),
      `${2 ** 50} bytes of memory`,
    ],
    [
      "pages of 1 TiB",
      new StreamBuilder(4096).fileHeader().configuration().be(1, 5)
        .str8("configuration/target-page-bits").be(4, 1).be(4, 40),
      "pages of 4294967296 bytes",
    ],
    [
      "a dirty-bitmap chunk of 1 GiB",
      twoBlocks().be(1, 1).be(4, 3).str8("dirty-bitmap").be(4, 0).be(4, 1)
        .be(1, 0x40).be(8, 0).be(4, 128).be(8, 2 ** 30),
      "a dirty-bitmap chunk of 1073741824 bytes",
    ],
    [
      "a block longer than all blocks",
      ramList().be(8, 0x2000 + 4).str8("a").be(8, 0x3000),
      "block a has 12288 bytes",
    ],
    [
      "a block listed twice",
      ramList().be(8, 0x2000 + 4).str8("a").be(8, 0x1000).str8("a").be(8, 0x1000),
      "block a is listed twice",
    ],
    ["another ram version", twoBlocksOfVersion(5), "ram section version 5"],
    [
      "no footers (machine types up to 2.3)",
      ramList().be(8, 0x1000 + 4).str8("a").be(8, 0x1000).be(8, 0x10).be(1, 2).be(4, 2),
      "a section has no footer",
    ],
    [
      "a device section before memory (virtio-mem)",
      new StreamBuilder(4096).fileHeader().configuration().be(1, 4).be(4, 1),
      "a device section before the end of memory",
    ],
    [
      "an unlisted block",
      twoBlocks().openSection("part").zero("c", 0),
      "unlisted memory block",
    ],
    [
      "an offset outside its block",
      twoBlocks().openSection("part").zero("b", 4),
      "a memory record lies outside its block",
    ],
    [
      "a first record without a name",
      twoBlocks().openSection("part").be(8, 0x22).be(1, 0),
      "the first memory record names no block",
    ],
    ["multifd's flush word", twoBlocks().openSection("part").be(8, 0x200), "flags 0x200"],
    ["a compressed page", twoBlocks().openSection("part").be(8, 0x100), "flags 0x100"],
    ["the enabling of COLO", twoBlocks().command(8), "command 8"],
    ["a command of the wrong length", twoBlocks().command(2, [1]), "command 2 with 1 bytes"],
    ["the start of post-copy", twoBlocks().command(6, [0, 1, 0x61, 0]), "post-copy begins"],
    ["a section never started", twoBlocks().be(1, 2).be(4, 9), "section 9 was never started"],
    [
      "another iterative section",
      twoBlocks().be(1, 1).be(4, 5).str8("block").be(4, 0).be(4, 1),
      "section block version 1",
    ],
    [
      "a footer of another section",
      twoBlocks().openSection("part").be(8, 0x10).be(1, 0x7e).be(4, 9),
      "footer of section 9 in section 2",
    ],
  ] as const
) {
  Deno.test(`${what} makes the rest opaque, verbatim and with a reason`, () => {
    const input = bytes.raw([0xde, 0xad, 0xbe, 0xef]).build();
    for (const chunking of [[1], [input.length]]) {
      const { items, reader } = read(input, chunking);
      assert.equal(reader.phase, "opaque");
      assert(reader.stats.reason?.includes(reason), `reason: ${reader.stats.reason}`);
      const output = rewrite(input, chunking);
      assert.deepEqual(output.slice(-4), input.slice(-4));
      if (items.every(({ kind }) => kind === "opaque")) assert.deepEqual(output, input);
    }
  });
}

Deno.test("a block list without end is given up at the reader's limit, not buffered", () => {
  const reader = createStreamReader();
  const endless = ramList().be(8, 2 ** 47 + 4).build();
  const items = reader.push(endless);
  let heldBytesMax = 0;
  for (let i = 0; i < 100; i++) {
    const entries = new StreamBuilder(4096);
    for (let j = 0; j < 20; j++) entries.str8(`block ${i} ${j} ${"x".repeat(200)}`).be(8, 0x1000);
    items.push(...reader.push(entries.build()));
    heldBytesMax = Math.max(heldBytesMax, reader.stats.heldBytes);
  }
  assert.equal(reader.phase, "opaque");
  assert(heldBytesMax > MAX_HELD_BYTES / 2 && heldBytesMax <= MAX_HELD_BYTES, `${heldBytesMax}`);
});

function ramList(): StreamBuilder {
  return new StreamBuilder(4096).fileHeader().configuration()
    .be(1, 1).be(4, 2).str8("ram").be(4, 0).be(4, 4);
}

function twoBlocksOfVersion(version: number): StreamBuilder {
  return new StreamBuilder(4096).fileHeader().configuration()
    .be(1, 1).be(4, 2).str8("ram").be(4, 0).be(4, version).be(8, 0x1000 + 4);
}

function isEmptySection(item: MemoryItem): boolean {
  return item.kind === "opaque" && item.bytes.length === 18 && item.bytes[0] === 3;
}

function page(fill: number): Uint8Array {
  return new Uint8Array(4096).fill(fill);
}

Deno.test("a list of thousands of blocks is read however small its pieces are", () => {
  const blocks = Array.from({ length: 3_000 }, (_, i) => ({ name: `/objects/${i}`, pages: 1 }));
  const bytes = new StreamBuilder(4096).fileHeader().configuration().ramStart(blocks).build();
  for (const chunking of [[64], [1, 5000], [bytes.length]]) {
    const [layout] = read(bytes, chunking).items.filter((item) => item.kind === "layout");
    assert.deepEqual(
      layout.blocks.map(({ name, lengthBytes }) => [name, lengthBytes]),
      blocks.map(({ name }) => [name, 4096]),
    );
  }
});

Deno.test("more capabilities than any release has are not read", () => {
  const names = Array(100).fill("x-ignore-shared");
  const stream = new StreamBuilder(4096).fileHeader().configuration()
    .be(1, 5).str8("configuration/capabilities").be(4, 1).be(4, names.length);
  for (const name of names) stream.str8(name);
  assert.equal(read(stream.build(), [64]).reader.stats.reason, "100 capabilities");
});
