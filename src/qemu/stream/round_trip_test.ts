import assert from "node:assert/strict";
import fc from "fast-check";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { createStreamReader } from "./reader.ts";
import { arbitraryChunking, arbitraryStream } from "./testing/arbitrary_stream.ts";
import { concat, read, rewrite, twoBlocks } from "./testing/round_trip.ts";
import { StreamBuilder } from "./testing/stream_builder.ts";
import { type LoadedStream, loadStream } from "./testing/stream_loader.ts";

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

Deno.test("a flipped byte never throws, and what still loads means the same when rewritten", () => {
  let loadable = 0;
  fc.assert(
    fc.property(arbitraryStream, fc.nat(), fc.integer({ min: 1, max: 255 }), (stream, at, flip) => {
      const bytes = stream.bytes.slice();
      bytes[at % Math.min(bytes.length, stream.interpretedBytes)] ^= flip;
      const rewritten = rewrite(bytes, [4096]);
      let before: LoadedStream;
      try {
        before = loadStream(bytes);
      } catch (error) {
        if (error instanceof assert.AssertionError) return; // QEMU would refuse it, too
        throw error;
      }
      loadable++;
      assert.deepEqual(loadStream(rewritten), before);
    }),
    { numRuns: 300 },
  );
  assert(loadable > 20, `${loadable} of 300 were still loadable`);
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

Deno.test("pages of 64 KiB are the largest, and fit what the reader holds", () => {
  const body = new Uint8Array(65536).fill(3);
  const stream = new StreamBuilder(65536).fileHeader().configuration()
    .ramStart([{ name: "a", pages: 8 }]).openSection("part").page("a", 5, body).closeSection();
  const { items } = read(stream.build(), [1000]);
  assert.deepEqual(items.at(-1), {
    kind: "pages",
    block: 0,
    pageIndexes: Uint32Array.of(5),
    contents: body,
  });
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

function page(fill: number): Uint8Array {
  return new Uint8Array(4096).fill(fill);
}

function be64(value: number): number[] {
  return [...new StreamBuilder(4096).be(8, value).build()];
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
