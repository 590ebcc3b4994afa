import { Buffer } from "node:buffer";
import { Bitmap } from "./bitmap.ts";
import { PAGE_BYTES, PAGE_WORDS } from "./units.ts";

/** One ArrayBuffer holds at most this much; the system gives its pages only when they are touched. */
const CHUNK_BYTES = 2 ** 30;
const CHUNK_PAGES = CHUNK_BYTES / PAGE_BYTES;
const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

/**
 * The machine's memory: real pages, and a bit for each page that was written while tracking is on.
 * Pages never written stay untouched, so that a large, mostly empty machine costs little.
 */
export class MachineMemory {
  readonly pageCount: number;
  #bytes: Buffer[] = [];
  #words: Uint32Array[] = [];
  #touched: Bitmap;
  #dirty: Bitmap | null = null;
  /** Pages that became dirty since tracking began, each as often as it did. */
  #dirtied = 0;
  /** Pages that got other contents, by who wants to know. */
  readonly #logs = new Set<Bitmap>();

  constructor(readonly lengthBytes: number) {
    this.pageCount = lengthBytes / PAGE_BYTES;
    if (!Number.isSafeInteger(this.pageCount) || this.pageCount < 1) {
      throw new RangeError(`memory must be whole pages, got ${lengthBytes} bytes`);
    }
    this.#touched = new Bitmap(this.pageCount);
    this.#allocate();
  }

  /** The words that hold `page`, which starts at word `wordOf(page)` of them; for reading. */
  wordsOf(page: number): Uint32Array {
    return this.#words[Math.floor(page / CHUNK_PAGES)];
  }

  wordOf(page: number): number {
    return (page % CHUNK_PAGES) * PAGE_WORDS;
  }

  /** As `wordsOf`, and counts the page as written. */
  wordsForWriting(page: number): Uint32Array {
    this.#touched.add(page);
    this.markDirty(page);
    for (const log of this.#logs) log.add(page);
    return this.wordsOf(page);
  }

  /** True without a look at the content where the page was never written. */
  isZero(page: number): boolean {
    if (!this.#touched.has(page)) return true;
    const at = (page % CHUNK_PAGES) * PAGE_BYTES;
    return this.#chunk(page).compare(ZERO_PAGE, 0, PAGE_BYTES, at, at + PAGE_BYTES) === 0;
  }

  /** Looks at the bytes themselves. */
  equals(page: number, expected: Buffer): boolean {
    const at = (page % CHUNK_PAGES) * PAGE_BYTES;
    return this.#chunk(page).compare(expected, 0, PAGE_BYTES, at, at + PAGE_BYTES) === 0;
  }

  copyOut(page: number, into: Uint8Array, atByte: number): void {
    const at = (page % CHUNK_PAGES) * PAGE_BYTES;
    into.set(this.#chunk(page).subarray(at, at + PAGE_BYTES), atByte);
  }

  copyIn(page: number, from: Uint8Array): void {
    this.wordsForWriting(page);
    this.#chunk(page).set(from, (page % CHUNK_PAGES) * PAGE_BYTES);
  }

  zero(page: number): void {
    this.markDirty(page);
    if (!this.#touched.has(page)) return;
    for (const log of this.#logs) log.add(page);
    const at = this.wordOf(page);
    this.wordsOf(page).fill(0, at, at + PAGE_WORDS);
  }

  /** Starts tracking with every page dirty, as the first pass of a move needs it. */
  trackAll(): Bitmap {
    this.#dirty = new Bitmap(this.pageCount);
    this.#dirty.addAll();
    this.#dirtied = 0;
    return this.#dirty;
  }

  stopTracking(): void {
    this.#dirty = null;
  }

  /** A set that each page joins which gets other contents, until `endLog`. */
  startLog(): Bitmap {
    const log = new Bitmap(this.pageCount);
    this.#logs.add(log);
    return log;
  }

  endLog(log: Bitmap): void {
    this.#logs.delete(log);
  }

  get dirtiedPages(): number {
    return this.#dirtied;
  }

  markDirty(page: number): void {
    if (this.#dirty?.add(page)) this.#dirtied++;
  }

  #chunk(page: number): Buffer {
    return this.#bytes[Math.floor(page / CHUNK_PAGES)];
  }

  #allocate(): void {
    this.#bytes = [];
    this.#words = [];
    for (let at = 0; at < this.lengthBytes; at += CHUNK_BYTES) {
      const buffer = new ArrayBuffer(Math.min(CHUNK_BYTES, this.lengthBytes - at));
      this.#bytes.push(Buffer.from(buffer));
      this.#words.push(new Uint32Array(buffer));
    }
  }
}
