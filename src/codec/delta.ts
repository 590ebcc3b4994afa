/**
 * What changed in a page against an older copy of it: XOR over 32-bit words with the runs of equal
 * words left out (the XBZRLE/XBRLE family, Svärd et al. 2011). Runs and differing words are kept
 * apart, because zstd packs two plain streams better than one mixed one.
 *
 * Measured (docs/decisions/010-page-image-and-references.md): plain JS over Uint32Array encodes
 * several GB/s of dirty pages, so no WASM is needed.
 */
import { batchInvalid, type ByteSink, type ByteSource } from "./bytes.ts";

const WORD_BYTES = 4;
/** Words that `areEqual` looks at. */
const EQUAL_AT_ONCE = 8;

/** A delta in parts, used again for each page. */
export interface Delta {
  /** Pairs: equal words to skip, then differing words that follow. */
  readonly runs: Uint16Array;
  runCount: number;
  /** The differing words, old XOR new, back to back. */
  readonly words: Uint32Array;
  wordCount: number;
}

/** Room for any delta of a page of `pageWords` words (at most 2^16 - 1 of them are ever in one run). */
export function createDelta(pageWords: number): Delta {
  return {
    runs: new Uint16Array(2 * pageWords),
    runCount: 0,
    words: new Uint32Array(pageWords),
    wordCount: 0,
  };
}

/**
 * Compares `pageWords` words of both arrays.
 *
 * @param bytesMax the caller sends the page whole above this
 * @returns the bytes it takes, to within one byte for each run; 0 for equal pages, -1 above the limit
 */
export function encodeDelta(
  base: Uint32Array,
  baseAt: number,
  page: Uint32Array,
  pageAt: number,
  pageWords: number,
  bytesMax: number,
  into: Delta,
): number {
  const { runs, words } = into;
  const toBase = baseAt - pageAt;
  const end = pageAt + pageWords;
  let runCount = 0;
  let wordCount = 0;
  let before = pageAt;
  let sizeBytes = 0;
  for (let at = pageAt;;) {
    // Most words are equal: eight with one branch go 2 to 3 times as fast as one by one.
    while (at + EQUAL_AT_ONCE <= end && areEqual(base, at + toBase, page, at)) at += EQUAL_AT_ONCE;
    while (at < end && base[at + toBase] === page[at]) at++;
    if (at === end) break;
    const start = at;
    let runEnd = at + 1;
    // A single equal word inside a run costs less than the numbers of another run.
    for (at = runEnd; at < end && at - runEnd < 2; at++) {
      if (base[at + toBase] !== page[at]) runEnd = at + 1;
    }
    sizeBytes += runBytes(start - before, runEnd - start);
    if (sizeBytes > bytesMax) return -1;
    runs[2 * runCount] = start - before;
    runs[2 * runCount + 1] = runEnd - start;
    runCount++;
    for (let i = start; i < runEnd; i++) words[wordCount++] = base[i + toBase] ^ page[i];
    before = runEnd;
  }
  into.runCount = runCount;
  into.wordCount = wordCount;
  return sizeBytes;
}

function areEqual(left: Uint32Array, at: number, right: Uint32Array, from: number): boolean {
  return ((left[at] ^ right[from]) | (left[at + 1] ^ right[from + 1]) |
    (left[at + 2] ^ right[from + 2]) | (left[at + 3] ^ right[from + 3]) |
    (left[at + 4] ^ right[from + 4]) | (left[at + 5] ^ right[from + 5]) |
    (left[at + 6] ^ right[from + 6]) | (left[at + 7] ^ right[from + 7])) === 0;
}

function runBytes(skip: number, count: number): number {
  return (skip < 128 ? 1 : 2) + (count < 128 ? 1 : 2) + count * WORD_BYTES;
}

/** Appends `varint runCount, (varint skip, varint count)*` to one sink, the words to the other. */
export function putDelta(delta: Delta, runsInto: ByteSink, wordsInto: ByteSink): void {
  runsInto.varint(delta.runCount);
  for (let i = 0; i < 2 * delta.runCount; i++) runsInto.varint(delta.runs[i]);
  const { words } = delta;
  wordsInto.raw(new Uint8Array(words.buffer, words.byteOffset, delta.wordCount * WORD_BYTES));
}

/**
 * Applies a delta to the copy of the old page that lies at `pageAt`. Nothing outside of that page is
 * written, whatever the peer sent.
 *
 * @param words where the differing words lie; the delta's begin at `wordsAt`
 * @returns the place behind the last word used
 * @throws {GatewayError} `batch_invalid`; the page may be changed in part by then
 */
export function applyDelta(
  page: Uint32Array,
  pageAt: number,
  pageWords: number,
  runs: ByteSource,
  words: Uint32Array,
  wordsAt: number,
): number {
  const runCount = runs.count(2, "runs");
  if (runCount > pageWords) throw batchInvalid(`${runCount} runs in one page`);
  let at = 0;
  let from = wordsAt;
  for (let i = 0; i < runCount; i++) {
    const start = at + runs.varint();
    const count = runs.varint();
    at = start + count;
    if (count === 0 || at > pageWords) throw batchInvalid("a delta leaves its page");
    if (from + count > words.length) throw batchInvalid("a delta lacks words");
    for (let word = start; word < at; word++) page[pageAt + word] ^= words[from++];
  }
  return from;
}
