import { Buffer } from "node:buffer";
import { constants, zstdCompressSync } from "node:zlib";

const PAGE_BYTES = 4096;
const PAGE_WORDS = PAGE_BYTES / 4;
/** As batches of a move are, so that the ratio is theirs. */
const BATCH_BYTES = 256 * 1024;
const LEVEL_FIRST_COPY = 3;
const LEVEL_DIFFERENCES = 1;
/** A page whose difference is longer travels whole. */
const DIFFERENCE_BYTES_MAX = 2800;
/** With fewer changed pages a ratio would be about them, not about the machine. */
const CHANGED_PAGES_MIN = 16;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/** What pages of a machine would take on the wire, from a sample of them. */
export class ContentEstimate {
  #pages = 0;
  #zeroPages = 0;
  #changedPages = 0;
  readonly #first = new PackedSize(LEVEL_FIRST_COPY);
  readonly #differences = new PackedSize(LEVEL_DIFFERENCES);

  /** @param pages any number of whole pages; not kept */
  add(pages: Uint8Array): void {
    for (let at = 0; at + PAGE_BYTES <= pages.length; at += PAGE_BYTES) {
      const page = pages.subarray(at, at + PAGE_BYTES);
      this.#pages++;
      if (ZERO_PAGE.equals(page)) this.#zeroPages++;
      else this.#first.add(page, PAGE_BYTES);
    }
  }

  /**
   * The same pages at a later time.
   *
   * @param before aligned to 4 bytes, as is `after`; neither is kept
   */
  compare(before: Uint8Array, after: Uint8Array): void {
    for (let at = 0; at + PAGE_BYTES <= after.length; at += PAGE_BYTES) {
      const [old, page] = [before, after].map((pages) => pages.subarray(at, at + PAGE_BYTES));
      if (Buffer.from(old.buffer, old.byteOffset, PAGE_BYTES).equals(page)) continue;
      this.#changedPages++;
      // A page that was cleared is named, not sent.
      this.#differences.add(ZERO_PAGE.equals(page) ? EMPTY : difference(old, page), PAGE_BYTES);
    }
  }

  get zeroShare(): number | null {
    return this.#pages === 0 ? null : this.#zeroPages / this.#pages;
  }

  get wireRatio(): number | null {
    return this.#first.ratio;
  }

  get rewriteRatio(): number | null {
    return this.#changedPages < CHANGED_PAGES_MIN ? null : this.#differences.ratio;
  }
}

const EMPTY = new Uint8Array(0);

/** Runs of changed words with their places, or the page where that is shorter. */
function difference(old: Uint8Array, page: Uint8Array): Uint8Array {
  const [from, to] = [old, page].map((bytes) =>
    new Uint32Array(bytes.buffer, bytes.byteOffset, PAGE_WORDS)
  );
  const into = new Uint8Array(DIFFERENCE_BYTES_MAX);
  const view = new DataView(into.buffer);
  let length = 0;
  for (let word = 0; word < PAGE_WORDS;) {
    const first = word;
    while (word < PAGE_WORDS && from[word] === to[word]) word++;
    const skipped = word - first;
    const changed = word;
    while (word < PAGE_WORDS && from[word] !== to[word]) word++;
    if (word === changed) break;
    const bytes = 4 + (word - changed) * 4;
    if (length + bytes > DIFFERENCE_BYTES_MAX) return page;
    view.setUint16(length, skipped);
    view.setUint16(length + 2, word - changed);
    for (let at = changed; at < word; at++) {
      view.setUint32(length + 4 + (at - changed) * 4, from[at] ^ to[at]);
    }
    length += bytes;
  }
  return into.subarray(0, length);
}

/** Adds up what pieces take when they are packed in batches. */
class PackedSize {
  #offeredBytes = 0;
  #packedBytes = 0;
  #batchBytes = 0;
  readonly #batch = new Uint8Array(BATCH_BYTES);

  constructor(private readonly level: number) {}

  add(piece: Uint8Array, offeredBytes: number): void {
    if (this.#batchBytes + piece.length > BATCH_BYTES) this.#pack();
    this.#batch.set(piece, this.#batchBytes);
    this.#batchBytes += piece.length;
    this.#offeredBytes += offeredBytes;
  }

  /** Null where nothing was offered. */
  get ratio(): number | null {
    this.#pack();
    return this.#offeredBytes === 0 ? null : Math.min(1, this.#packedBytes / this.#offeredBytes);
  }

  #pack(): void {
    if (this.#batchBytes === 0) return;
    const params = { [constants.ZSTD_c_compressionLevel]: this.level };
    const batch = this.#batch.subarray(0, this.#batchBytes);
    this.#packedBytes += zstdCompressSync(batch, { params }).length;
    this.#batchBytes = 0;
  }
}
