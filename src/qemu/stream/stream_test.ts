import assert from "node:assert/strict";
import fc from "fast-check";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { MAX_HELD_BYTES } from "./format.ts";
import { createStreamReader, type StreamReader } from "./reader.ts";
import { arbitraryChunking, arbitraryStream, cut } from "./testing/arbitrary_stream.ts";
import { StreamBuilder } from "./testing/stream_builder.ts";
import { type LoadedStream, loadStream } from "./testing/stream_loader.ts";
import { createStreamWriter, type StreamWriter } from "./writer.ts";

Deno.test("read, written and loaded, a stream means what it meant, at any chunking", () => {
  fc.assert(fc.property(arbitraryStream, arbitraryChunking, (stream, chunking) => {
    const before = loadCut(stream.bytes);
    const once = rewrite(stream.bytes, chunking);
    assert.deepEqual(loadCut(once), before);
    assert.deepEqual(loadCut(rewrite(once, chunking.toReversed())), before);
  }));
});

Deno.test("every page and zero record of a stream becomes part of an item, at any chunking", () => {
  fc.assert(fc.property(arbitraryStream, arbitraryChunking, (stream, chunking) => {
    const { items } = read(stream.bytes, chunking);
    let pages = 0;
    let zeros = 0;
    for (const item of items) {
      if (item.kind === "pages") pages += item.pageIndexes.length;
      if (item.kind === "zeros") {
        for (let i = 1; i < item.ranges.length; i += 2) zeros += item.ranges[i];
      }
    }
    assert.deepEqual({ pages, zeros }, { pages: stream.pageRecords, zeros: stream.zeroRecords });
  }));
});

Deno.test("a complete record is in the items of the push that completed it", () => {
  fc.assert(fc.property(arbitraryStream, fc.nat(), (stream, seed) => {
    const bytes = stream.bytes.slice(0, seed % (stream.bytes.length + 1));
    assert.deepEqual(
      pageHistories(createStreamReader().push(bytes)),
      pageHistories(read(bytes, [1]).items),
    );
  }));
});

Deno.test("cut after any byte, a stream neither throws nor loses what was complete", () => {
  const [{ bytes }] = fc.sample(arbitraryStream, { numRuns: 1, seed: 7 });
  const whole = pageHistories(read(bytes, [bytes.length]).items);
  assert(whole.size > 3 && bytes.length > 10_000, "the sample is too small to show anything");
  const step = Math.ceil(bytes.length / 4000);
  for (let cutAt = 0; cutAt <= bytes.length; cutAt += step) {
    const reader = createStreamReader();
    const items = [...reader.push(bytes.slice(0, cutAt)), ...reader.end()];
    let recordCount = 0;
    for (const [page, contents] of pageHistories(items)) {
      assert.deepEqual(contents, whole.get(page)!.slice(0, contents.length));
      recordCount += contents.length;
    }
    assert.equal(recordCount, reader.stats.pageRecords + reader.stats.zeroRecords);
  }
});

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

Deno.test("a flipped byte anywhere never throws, and the writer takes the items all the same", () => {
  fc.assert(
    fc.property(arbitraryStream, fc.nat(), fc.integer({ min: 1, max: 255 }), (stream, at, flip) => {
      const bytes = stream.bytes.slice();
      bytes[at % bytes.length] ^= flip;
      rewrite(bytes, [4096]);
    }),
  );
});

Deno.test("an unknown record inside a section follows a header and a record naming its block", () => {
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

Deno.test("END becomes its pages, then an END without records", () => {
  const stream = twoBlocks().openSection("end").page("a", 2, page(1)).closeSection();
  const { items, reader } = read(stream.build(), [10_000]);
  assert.deepEqual(items.slice(-2), [
    { kind: "pages", block: 0, pageIndexes: Uint32Array.of(2), contents: page(1) },
    { kind: "opaque", bytes: new StreamBuilder(4096).openSection("end").closeSection().build() },
  ]);
  assert.equal(reader.phase, "final");
});

Deno.test("device sections are relayed verbatim, with no reason, as soon as they arrive", () => {
  const stream = twoBlocks().openSection("end").closeSection();
  const memoryBytes = stream.build().length;
  stream.be(1, 4).be(4, 9).str8("timer").raw([1, 2, 3]);
  const reader = createStreamReader();
  reader.push(stream.build().slice(0, memoryBytes));
  for (const byte of stream.build().slice(memoryBytes)) {
    assert.deepEqual(reader.push(Uint8Array.of(byte)), [
      { kind: "opaque", bytes: Uint8Array.of(byte) },
    ]);
  }
  assert.equal(reader.phase, "device");
  assert.equal(reader.stats.reason, null);
});

Deno.test("a page that is sent twice in one chunk keeps its order", () => {
  const stream = twoBlocks().openSection("part")
    .page("a", 1, page(1)).zero("a", 1).page("a", 1, page(3)).zero("a", 2).page("a", 2, page(4));
  const { items } = read(stream.closeSection().build(), [100_000]);
  assert.deepEqual(pageHistories(items), new Map([["0/1", [1, 0, 3]], ["0/2", [0, 4]]]));
});

Deno.test("offsets beyond 4 GiB are read in full", () => {
  const stream = new StreamBuilder(4096).fileHeader().configuration()
    .ramStart([{ name: "a", pages: 2 ** 22 }]).openSection("part").zero("a", 2 ** 21 + 5);
  const { items } = read(stream.closeSection().build(), [1000]);
  assert.deepEqual(items.at(-1), {
    kind: "zeros",
    block: 0,
    ranges: Uint32Array.of(2 ** 21 + 5, 1),
  });
});

Deno.test("pages of a block that only rise are grouped, and zero pages become ranges", () => {
  const stream = twoBlocks().openSection("part");
  stream.page("a", 0, page(1)).zero("a", 1).zero("a", 2).page("a", 3, page(2)).zero("a", 5);
  const { items } = read(stream.closeSection().build(), [100_000]);
  assert.deepEqual(items.slice(-2), [
    {
      kind: "pages",
      block: 0,
      pageIndexes: Uint32Array.of(0, 3),
      contents: concat([page(1), page(2)]),
    },
    { kind: "zeros", block: 0, ranges: Uint32Array.of(1, 2, 5, 1) },
  ]);
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

Deno.test("SWITCHOVER_START, PING and POSTCOPY_ADVISE keep a stream page-aware", () => {
  const stream = new StreamBuilder(4096).fileHeader().configuration().command(1)
    .command(2, [0, 0, 0, 1]).command(3, [...be64(0x201000), ...be64(0x1000)]);
  // With several page sizes a block may carry its own: here 2 MiB for the first of two.
  stream.be(1, 1).be(4, 2).str8("ram").be(4, 0).be(4, 4).be(8, 0x202000 + 4)
    .str8("huge").be(8, 0x200000).be(8, 0x200000).str8("small").be(8, 0x2000).sectionEnd();
  stream.openSection("part").page("small", 1, page(1)).command(11);
  stream.openSection("end").zero("huge", 511).closeSection();
  const { items, reader } = read(stream.build(), [3]);
  assert.equal(reader.phase, "final");
  assert.deepEqual(items.find(({ kind }) => kind === "layout"), {
    kind: "layout",
    pageBytes: 4096,
    section: 2,
    blocks: [{ name: "huge", lengthBytes: 0x200000 }, { name: "small", lengthBytes: 0x2000 }],
  });
});

Deno.test("with x-ignore-shared each block's guest address is passed over", () => {
  const stream = new StreamBuilder(4096).fileHeader().configuration().be(1, 5)
    .str8("configuration/capabilities").be(4, 1).be(4, 1).str8("x-ignore-shared");
  stream.be(1, 1).be(4, 2).str8("ram").be(4, 0).be(4, 4).be(8, 0x2000 + 4)
    .str8("a").be(8, 0x1000).be(8, 0x100000).str8("b").be(8, 0x1000).be(8, 0).sectionEnd();
  const { reader } = read(stream.build(), [5]);
  assert.equal(reader.phase, "memory");
});

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

function twoBlocks(): StreamBuilder {
  return new StreamBuilder(4096).fileHeader().configuration()
    .ramStart([{ name: "a", pages: 8 }, { name: "b", pages: 4 }]);
}

function ramList(): StreamBuilder {
  return new StreamBuilder(4096).fileHeader().configuration()
    .be(1, 1).be(4, 2).str8("ram").be(4, 0).be(4, 4);
}

function twoBlocksOfVersion(version: number): StreamBuilder {
  return new StreamBuilder(4096).fileHeader().configuration()
    .be(1, 1).be(4, 2).str8("ram").be(4, 0).be(4, version).be(8, 0x1000 + 4);
}

function page(fill: number): Uint8Array {
  return new Uint8Array(4096).fill(fill);
}

function be64(value: number): number[] {
  return [...new StreamBuilder(4096).be(8, value).build()];
}

function read(
  bytes: Uint8Array,
  chunking: readonly number[],
): { items: MemoryItem[]; reader: StreamReader } {
  const reader = createStreamReader();
  const items: MemoryItem[] = [];
  for (const chunk of cut(bytes, chunking)) items.push(...reader.push(chunk));
  items.push(...reader.end());
  return { items, reader };
}

function write(writer: StreamWriter, items: readonly MemoryItem[]): Uint8Array {
  const pieces: Uint8Array[] = [];
  for (const item of items) pieces.push(...writer.write(item));
  return concat([...pieces, ...writer.flush()]);
}

function rewrite(bytes: Uint8Array, chunking: readonly number[]): Uint8Array {
  return write(createStreamWriter(), read(bytes, chunking).items);
}

/** Loads a stream that may end inside a section, which the loader, like QEMU, would not accept. */
function loadCut(bytes: Uint8Array): LoadedStream {
  try {
    return loadStream(bytes);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("stream ends inside")) throw error;
    return loadStream(concat([bytes, new StreamBuilder(4096).sectionEnd().build()]));
  }
}

/** What each page ("block/page") held one after the other, each as the second byte of it. */
function pageHistories(items: readonly MemoryItem[]): Map<string, number[]> {
  const histories = new Map<string, number[]>();
  const layout = items.find((item) => item.kind === "layout");
  const note = (block: number, page: number, content: number) => {
    const key = `${block}/${page}`;
    histories.set(key, [...histories.get(key) ?? [], content]);
  };
  for (const item of items) {
    if (item.kind === "pages") {
      item.pageIndexes.forEach((page, i) =>
        note(item.block, page, item.contents[i * layout!.pageBytes + 1])
      );
    }
    if (item.kind === "zeros") {
      for (let i = 0; i < item.ranges.length; i += 2) {
        for (let n = 0; n < item.ranges[i + 1]; n++) note(item.block, item.ranges[i] + n, 0);
      }
    }
  }
  return histories;
}

function isEmptySection(item: MemoryItem): boolean {
  return item.kind === "opaque" && item.bytes.length === 18 && item.bytes[0] === 3;
}

function opaqueBytes(items: readonly MemoryItem[]): Uint8Array {
  return concat(items.map((item) => item.kind === "opaque" ? item.bytes : new Uint8Array()));
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
