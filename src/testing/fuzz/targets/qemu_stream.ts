import assert from "node:assert/strict";
import fc from "fast-check";
import type { MemoryItem } from "../../../guest/memory_items.ts";
import { MAX_HELD_BYTES } from "../../../qemu/stream/format.ts";
import { createStreamReader, type StreamReader } from "../../../qemu/stream/reader.ts";
import {
  createReturnPathParser,
  encodeReturnPath,
  MAX_RETURN_PATH_BYTES,
  type ReturnPathContent,
} from "../../../qemu/stream/return_path.ts";
import { arbitraryStream } from "../../../qemu/stream/testing/arbitrary_stream.ts";
import { StreamBuilder } from "../../../qemu/stream/testing/stream_builder.ts";
import { concat } from "../../../qemu/stream/testing/round_trip.ts";
import { createStreamWriter, MAX_OUTPUT_BYTES } from "../../../qemu/stream/writer.ts";
import { INPUT_BYTES_MAX, mutateBytes } from "../bytes_mutator.ts";
import { chunksOf } from "../parts.ts";
import type { FuzzTarget } from "../target.ts";
import { checkItems } from "./memory_items.ts";

const WORDS = [
  ...[[0, 0, 0, 0, 0, 0, 0, 0x10, 0x7e, 0, 0, 0, 2], [2, 0, 0, 0, 2], [3, 0, 0, 0, 2]],
  ...[[8, 0, 1, 0, 0], [8, 0, 3, 0, 16], [4, 0, 0, 0, 9], [5], [7, 0, 0, 0, 1], [0x28], [0x22]],
].map((bytes) => Uint8Array.from(bytes));
const CAPABILITIES = "configuration/capabilities";
const IGNORE_SHARED = "x-ignore-shared";

/** Made once: to make one takes as long as to read some. */
let streams: Uint8Array[] | null = null;

/** The memory stream, cut anywhere; nothing in it is an error. */
export function qemuStream(): FuzzTarget {
  return {
    name: "qemu-stream",
    reads: "the hypervisor's memory stream at any chunking, and its way back (src/qemu/stream)",
    codes: [],
    form: "bytes",
    bufferBytesMax: 12 * INPUT_BYTES_MAX + 8 * MAX_HELD_BYTES + MAX_OUTPUT_BYTES,
    testExecutions: 1_500,
    generate(dice) {
      if (dice.chance(0.05)) return longConfiguration(dice.pick([1, 60, 70, 8_000]));
      if (dice.chance(0.03)) return longBlockList(dice.pick([40, 600, 4_000, 4_100]));
      streams ??= fc.sample(arbitraryStream, { numRuns: 60, seed: 1 }).map(({ bytes }) => bytes);
      return dice.pick(streams);
    },
    mutate: (input, dice, others) => mutateBytes(input, dice, others, WORDS),
    run(input) {
      const whole = read(input, 0);
      const pages = pagesOf(whole.items);
      // One by one, and cut in a way that the input itself decides.
      for (const way of [1, 2 + input.length * 7]) {
        const cut = read(input, way);
        const { heldBytes: _, ...expected } = whole.reader.stats;
        const { heldBytes: __, ...stats } = cut.reader.stats;
        assert.deepEqual({ ...stats, phase: cut.reader.phase }, {
          ...expected,
          phase: whole.reader.phase,
        });
        assert.equal(pagesOf(cut.items), pages, "the same memory however it was cut");
      }
      rewrite(whole.items);
      const { reason } = whole.reader.stats;
      return `${whole.reader.phase} ${reason?.replace(/\d+/g, "#").slice(0, 60) ?? ""}`;
    },
  };
}

function read(input: Uint8Array, way: number): { items: MemoryItem[]; reader: StreamReader } {
  const reader = createStreamReader();
  const items: MemoryItem[] = [];
  for (const chunk of chunksOf(input, way)) {
    items.push(...reader.push(chunk));
    assert.ok(reader.stats.heldBytes <= MAX_HELD_BYTES);
  }
  items.push(...reader.end());
  checkItems(items, null);
  return { items, reader };
}

/** What memory holds behind the items, as text by page; groups may be cut in other places. */
function pagesOf(items: readonly MemoryItem[]): string {
  const memory = new Map<string, string>();
  for (const item of items) {
    if (item.kind === "pages") {
      const pageBytes = item.contents.length / item.pageIndexes.length;
      item.pageIndexes.forEach((page, i) => {
        const content = item.contents.subarray(i * pageBytes, (i + 1) * pageBytes);
        memory.set(`${item.block} ${page}`, `${content[0]} ${content[7]} ${content.at(-1)}`);
      });
    } else if (item.kind === "zeros") {
      for (let i = 0; i < item.ranges.length; i += 2) {
        for (let page = 0; page < item.ranges[i + 1]; page++) {
          memory.set(`${item.block} ${item.ranges[i] + page}`, "zero");
        }
      }
    }
  }
  return [...memory].sort().join(" ");
}

/** Whatever the reader gives, the writer takes. */
function rewrite(items: readonly MemoryItem[]): void {
  const writer = createStreamWriter();
  for (const item of items) {
    for (const bytes of writer.write(item)) {
      assert.ok(item.kind === "opaque" || bytes.length <= MAX_OUTPUT_BYTES);
    }
  }
  writer.flush();
}

/** A list of capabilities without end: each is looked at, and the list held until it is complete. */
function longConfiguration(count: number): Uint8Array {
  const text = (value: string) => [value.length, ...new TextEncoder().encode(value)];
  const bytes = [0x51, 0x45, 0x56, 0x4d, 0, 0, 0, 3, 7, 0, 0, 0, 1, 0x70];
  bytes.push(5, ...text(CAPABILITIES), 0, 0, 0, 1, 0, 0, count >>> 8, count & 0xff);
  for (let i = 0; i < count; i++) bytes.push(...text(IGNORE_SHARED));
  return Uint8Array.from(bytes);
}

/** As many blocks as a reader takes, or more. */
function longBlockList(count: number): Uint8Array {
  const blocks = Array.from({ length: count }, (_, i) => ({ name: `/objects/${i}`, pages: 1 }));
  return new StreamBuilder(4096).fileHeader().configuration().ramStart(blocks).build();
}

const RETURNED: readonly ReturnPathContent[] = [
  { kind: "shut", status: 0 },
  { kind: "pong", value: 1 },
  { kind: "resumeAck", value: 1 },
  { kind: "switchoverAck" },
  { kind: "receivedBitmap", block: "pc.ram" },
  { kind: "requestPages", block: "pc.ram", offsetBytes: 4096n, lengthBytes: 4096 },
  { kind: "requestPages", block: null, offsetBytes: 8192n, lengthBytes: 4096 },
];

/** The return path, cut anywhere: relayed byte for byte, whatever it says. */
export function returnPath(): FuzzTarget {
  return {
    name: "return-path",
    reads:
      "what the destination's hypervisor answers on its stream (src/qemu/stream/return_path.ts)",
    codes: [],
    form: "bytes",
    bufferBytesMax: 32 * INPUT_BYTES_MAX,
    testExecutions: 4_000,
    generate: (dice) =>
      concat(
        Array.from({ length: dice.between(1, 8) }, () => encodeReturnPath(dice.pick(RETURNED))),
      ),
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    run(input) {
      const kinds = [0, 1, 2 + input.length * 7].map((way) => {
        const parser = createReturnPathParser();
        const pieces: Uint8Array[] = [];
        const kinds: string[] = [];
        for (const chunk of chunksOf(input, way)) {
          for (const message of parser.push(chunk)) {
            pieces.push(message.bytes);
            if (message.kind !== "bitmapBytes") kinds.push(message.kind);
          }
          assert.ok(parser.pendingBytes().length < MAX_RETURN_PATH_BYTES);
        }
        const relayed = concat([...pieces, parser.pendingBytes()]);
        assert.deepEqual(relayed, new Uint8Array(input), "every byte is relayed");
        return kinds.join(" ");
      });
      assert.equal(new Set(kinds).size, 1, "however it was cut");
      return kinds[0].slice(0, 60);
    },
  };
}
