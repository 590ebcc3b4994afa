import { Buffer } from "node:buffer";
import { randomFillSync } from "node:crypto";
import { StreamBuilder } from "../../src/qemu/stream/testing/stream_builder.ts";
import { createStreamWriter } from "../../src/qemu/stream/writer.ts";
import type { Limit } from "./limits.ts";
import type { Packing } from "./pipeline.ts";

export const PAGE_BYTES = 4096;
const PAGES_OF_ITEM = 64;
/** What the gateway reads from the socket at once. */
const READ_BYTES = 512 * 1024;
/** Half of the dirty pages of a busy Linux machine differ by no more than this a second later. */
const WORDS_CHANGED = 5;

/** One state of a machine's memory after another, and what the second pass over it costs. */
export interface Case {
  readonly name: string;
  /** Where the image keeps contents: in memory, in the spill file, nowhere (digests only). */
  readonly image: Image;
  readonly packing: Packing;
  /** What the runtime alone does with each page at the least. */
  readonly limits: readonly Limit[];
  /** What the destination has before the measurement; null: nothing. */
  readonly before: ((memory: Buffer) => void) | null;
  readonly measured: (memory: Buffer) => void;
}

export type Image = "held" | "spilled" | "digests";

const FIRST_COPY: readonly Limit[] = ["copy", "sha256"];

export const CASES: readonly Case[] = [
  {
    name: "unchanged, in memory",
    image: "held",
    packing: "strong",
    limits: ["copy", "compare"],
    before: text,
    measured: text,
  },
  {
    name: "unchanged, spilled",
    image: "spilled",
    packing: "strong",
    limits: ["copy", "sha256"],
    before: text,
    measured: text,
  },
  {
    name: "unchanged, digests only",
    image: "digests",
    packing: "strong",
    limits: ["copy", "sha256"],
    before: text,
    measured: text,
  },
  {
    name: "zero, as pages",
    image: "held",
    packing: "strong",
    limits: ["copy", "zero"],
    before: null,
    measured: zeros,
  },
  {
    name: "zero again, as pages",
    image: "held",
    packing: "strong",
    limits: ["copy", "zero"],
    before: zeros,
    measured: zeros,
  },
  {
    name: "sparse deltas",
    image: "held",
    packing: "strong",
    limits: ["copy", "words", "copy"],
    before: text,
    measured: sparse,
  },
  {
    name: "sparse deltas, spilled",
    image: "spilled",
    packing: "strong",
    limits: ["copy", "sha256", "words", "copy"],
    before: text,
    measured: sparse,
  },
  {
    name: "text, first copy",
    image: "held",
    packing: "fast",
    limits: [...FIRST_COPY, "zstd 1"],
    before: null,
    measured: text,
  },
  {
    name: "text, first copy, strong",
    image: "held",
    packing: "strong",
    limits: [...FIRST_COPY, "zstd 3"],
    before: null,
    measured: text,
  },
  {
    name: "text, first copy, spilled",
    image: "spilled",
    packing: "fast",
    limits: [...FIRST_COPY, "zstd 1"],
    before: null,
    measured: text,
  },
  {
    name: "random, first copy",
    image: "held",
    packing: "strong",
    limits: [...FIRST_COPY, "copy"],
    before: null,
    measured: random,
  },
];

function zeros(memory: Buffer): void {
  memory.fill(0);
}

function random(memory: Buffer): void {
  for (let at = 0; at < memory.length; at += 2 ** 20) randomFillSync(memory, at, 2 ** 20);
}

/** Bytes of text made word by word; later pages repeat them under a number of their own. */
const TEXT_BYTES = 2 ** 20;

/** Words of a small vocabulary in random order: about a third of its size in zstd. */
function text(memory: Buffer): void {
  const words = "the of and to in page block guest source link time state byte order when that";
  const vocabulary = words.split(" ").flatMap((
    word,
  ) => [word, `${word}s`, `un${word}`, `${word}ed`]);
  const length = Math.min(memory.length, TEXT_BYTES);
  let state = 7;
  for (let at = 0; at < length;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const word = vocabulary[(state >>> 16) % vocabulary.length];
    at += memory.write(state % 11 === 0 ? `${word} ${state}\n` : `${word} `, at, "latin1");
  }
  for (let at = length; at < memory.length; at += length) memory.copy(memory, at, 0, length);
  for (let at = 0; at < memory.length; at += PAGE_BYTES) memory.write(`page ${at} `, at, "latin1");
}

function sparse(memory: Buffer): void {
  text(memory);
  let state = 99;
  for (let page = 0; page < memory.length; page += PAGE_BYTES) {
    for (let word = 0; word < WORDS_CHANGED; word++) {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      memory.writeUInt32LE(state, page + 8 * ((state >>> 12) % (PAGE_BYTES / 8)));
    }
  }
}

/** The pass as QEMU writes it into its socket, in the pieces in which the gateway reads it. */
export function socketChunks(memory: Buffer): Uint8Array[] {
  const pageCount = memory.length / PAGE_BYTES;
  const blocks = [{ name: "pc.ram", pages: pageCount }];
  const opening = new StreamBuilder(PAGE_BYTES).fileHeader().configuration().ramStart(blocks);
  const pieces = [opening.build(), ...partSections(memory)];
  const stream = Buffer.concat(pieces);
  const chunks: Uint8Array[] = [];
  for (let at = 0; at < stream.length; at += READ_BYTES) {
    chunks.push(stream.subarray(at, at + READ_BYTES));
  }
  return chunks;
}

function* partSections(memory: Buffer): Generator<Uint8Array> {
  const writer = createStreamWriter();
  const blocks = [{ name: "pc.ram", lengthBytes: memory.length }];
  yield* writer.write({ kind: "layout", pageBytes: PAGE_BYTES, section: 2, blocks });
  for (let at = 0; at < memory.length; at += PAGES_OF_ITEM * PAGE_BYTES) {
    const contents = memory.subarray(at, at + PAGES_OF_ITEM * PAGE_BYTES);
    const pageIndexes = Uint32Array.from(
      { length: contents.length / PAGE_BYTES },
      (_, i) => at / PAGE_BYTES + i,
    );
    yield* writer.write({ kind: "pages", block: 0, pageIndexes, contents });
  }
  yield* writer.flush();
}
