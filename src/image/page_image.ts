import { ChunkedU32, ChunkedU8, entriesOfChunk } from "./chunked.ts";
import { DIGEST_WORDS, digestPage } from "./page_digest.ts";
import { PageStore } from "./page_store.ts";
import type { Spill } from "./spill.ts";

/** Pages that leave memory at once: one cipher call and mostly one write for all of them. */
export const EVICTED_AT_ONCE = 64;

/** What is known of a page. */
export const UNKNOWN = 0;
/** It is all zeros. */
export const ZERO = 1;
/** Its content is in memory. */
export const HELD = 2;
/** Its content is in the spill, its digest in memory. */
export const SPILLED = 3;
/** Only its digest is known: there is no spill. */
export const DIGEST_ONLY = 4;

const STATE = 7;
const DIGEST_IS_FRESH = 8;
const IS_WAITING = 16;

/**
 * What a machine's memory holds, by page number: content while it fits, then in the spill or, without
 * one, as a digest only. The page that was written longest ago leaves memory first.
 *
 * Costs 25 bytes for each page that was ever set (21 of them digest and place), beside the bound.
 */
export class PageImage {
  readonly pageWords: number;
  readonly #state = new ChunkedU8();
  /** Slot of a held page, write number of a spilled one. */
  readonly #place = new ChunkedU32();
  readonly #digest = new ChunkedU32(DIGEST_WORDS);
  readonly #store: PageStore;
  readonly #staging: Uint8Array;
  #isClosed = false;

  /**
   * @param boundBytes content in memory at most; at least one round of evictions
   * @param spill null: content beyond the bound is dropped
   */
  constructor(
    readonly pageBytes: number,
    boundBytes: number,
    private readonly spill: Spill | null,
  ) {
    this.pageWords = pageBytes / 4;
    this.#store = new PageStore(pageBytes, Math.max(boundBytes, 2 * EVICTED_AT_ONCE * pageBytes));
    this.#staging = new Uint8Array(spill === null ? 0 : EVICTED_AT_ONCE * pageBytes);
  }

  /**
   * So many pages written last still have their content, whatever came before; Infinity with a
   * spill. The side that refers to this image counts the writes (docs/decisions/010).
   */
  get reachPages(): number {
    return reachOf(this.pageBytes, this.#store.capacity * this.pageBytes, this.spill !== null);
  }

  get heldPages(): number {
    return this.#store.count;
  }

  /** Bytes of contents, in memory and in the spill. */
  get storedBytes(): number {
    return this.#store.count * this.pageBytes + (this.spill?.storedBytes ?? 0);
  }

  stateOf(page: number): number {
    return this.#state.get(page) & STATE;
  }

  setZero(page: number): void {
    this.forget(page);
    this.#state.set(page, ZERO);
  }

  /** `setZero` for each of a range that may be as long as the memory. */
  setZeros(first: number, count: number): void {
    for (let page = first; page < first + count;) {
      const part = entriesOfChunk(page, first + count - page);
      const states = this.#state.differing(page, part);
      for (let i = 0; states !== null && i < part; i++) {
        if ((states[i] & STATE) === HELD) this.#store.release(this.#place.get(page + i));
      }
      this.#state.fill(page, part, ZERO);
      page += part;
    }
  }

  /** Forgets what is known of a page. */
  forget(page: number): void {
    // Most pages of a large memory may never have been known: they take no memory here.
    if (this.#state.get(page) === UNKNOWN) return;
    if (this.stateOf(page) === HELD) this.#store.release(this.#place.get(page));
    this.#state.set(page, UNKNOWN);
  }

  /**
   * Sets a page to this content, which is copied.
   *
   * @param digest of that content where the caller has it; else it is computed when it is needed
   */
  set(page: number, content: Uint8Array, digest: Uint32Array | null = null): void {
    let slot: number;
    if (this.stateOf(page) === HELD) {
      slot = this.#place.get(page);
      this.#store.touch(slot);
    } else {
      // More than once where pinned pages were delivered, which count from then on.
      while (this.#store.isFull) this.#evict();
      slot = this.#store.add(page);
      this.#place.set(page, slot);
    }
    this.#store.pieceOf(slot).set(content, this.#store.offsetOf(slot));
    this.#state.set(page, digest === null ? HELD : HELD | DIGEST_IS_FRESH);
    if (digest !== null) this.#digest.chunkFor(page).set(digest, this.#digest.offsetOf(page));
  }

  /** Only this digest is known of a page from now on. */
  setDigestOnly(page: number, digest: Uint32Array): void {
    this.forget(page);
    this.#digest.chunkFor(page).set(digest, this.#digest.offsetOf(page));
    this.#state.set(page, DIGEST_ONLY | DIGEST_IS_FRESH);
  }

  /**
   * Marks a page as one that the gateway at the destination has and its machine has not. Whatever is
   * set for the page afterwards takes the mark away.
   */
  markWaiting(page: number): void {
    this.#state.set(page, this.#state.get(page) | IS_WAITING);
  }

  isWaiting(page: number): boolean {
    return (this.#state.get(page) & IS_WAITING) !== 0;
  }

  /** The machine has the page now as it is here, which counts as a write. */
  deliver(page: number): void {
    this.#state.set(page, this.#state.get(page) & ~IS_WAITING);
    if (this.stateOf(page) === HELD) this.#store.touch(this.#place.get(page));
  }

  /** What is held now stays until it is set or delivered, beside the bound; see `PageStore.pin`. */
  pinHeld(): void {
    this.#store.pin();
  }

  /**
   * Moves some pages out of memory, for an image that is put away: into the spill, or without one
   * until the bound is kept.
   *
   * @returns false when nothing is left to move
   */
  settle(): boolean {
    this.#store.unpin();
    if (this.spill === null ? this.#store.count <= this.#store.capacity : this.heldPages === 0) {
      return false;
    }
    this.#evict();
    if (this.heldPages === 0) this.#store.clear();
    return true;
  }

  /** Of a held page: true when its content is this. */
  equalsHeld(page: number, content: Uint8Array): boolean {
    return this.#store.equals(this.#place.get(page), content);
  }

  /** Of a held page: the words that hold it, valid until the next `set`; see `heldAt`. */
  heldWords(page: number): Uint32Array {
    return this.#store.wordsOf(this.#place.get(page));
  }

  /** Of a held page: the word at which it begins there. */
  heldAt(page: number): number {
    return this.#store.offsetOf(this.#place.get(page)) / 4;
  }

  /** True when the digest of the page's content is known without computing it. */
  hasDigest(page: number): boolean {
    return (this.#state.get(page) & DIGEST_IS_FRESH) !== 0;
  }

  /** Of a page with content: computes its digest, where that is not known. */
  ensureDigest(page: number): void {
    if (this.hasDigest(page) || this.stateOf(page) !== HELD) return;
    const slot = this.#place.get(page);
    const from = this.#store.offsetOf(slot);
    const content = this.#store.pieceOf(slot).subarray(from, from + this.pageBytes);
    digestPage(content, this.#digest.chunkFor(page), this.#digest.offsetOf(page));
    this.#state.set(page, this.#state.get(page) | DIGEST_IS_FRESH);
  }

  /** Of a page whose digest is known. */
  hasThisDigest(page: number, digest: Uint32Array): boolean {
    for (let word = 0; word < DIGEST_WORDS; word++) {
      if (this.#digest.get(page, word) !== digest[word]) return false;
    }
    return true;
  }

  /** One word of a known digest; 0 is the first. */
  digestWord(page: number, word: number): number {
    return this.#digest.get(page, word);
  }

  /**
   * Copies the content of a page, from memory or from the spill; all zeros for a zero page.
   *
   * @returns false when the content is not there
   */
  read(page: number, into: Uint8Array): boolean {
    switch (this.stateOf(page)) {
      case ZERO:
        into.fill(0, 0, this.pageBytes);
        return true;
      case HELD: {
        const slot = this.#place.get(page);
        const from = this.#store.offsetOf(slot);
        into.set(this.#store.pieceOf(slot).subarray(from, from + this.pageBytes));
        return true;
      }
      case SPILLED:
        this.spill!.read(page, this.#place.get(page), into.subarray(0, this.pageBytes));
        return true;
      default:
        return false;
    }
  }

  /** Gives memory and spill back. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#store.clear();
    this.spill?.close();
  }

  #evict(): void {
    const slots: number[] = [];
    for (let slot = this.#store.oldest; slot >= 0 && slots.length < EVICTED_AT_ONCE;) {
      slots.push(slot);
      slot = this.#store.newerThan(slot);
    }
    // In the order of their numbers: neighbours share a write.
    slots.sort((a, b) => this.#store.pageOf(a) - this.#store.pageOf(b));
    const pages = slots.map((slot) => this.#store.pageOf(slot));
    slots.forEach((slot, i) => {
      const from = this.#store.offsetOf(slot);
      const content = this.#store.pieceOf(slot).subarray(from, from + this.pageBytes);
      const page = pages[i];
      this.ensureDigest(page);
      if (this.spill !== null) this.#staging.set(content, i * this.pageBytes);
    });
    const first = this.spill?.write(
      pages,
      this.#staging.subarray(0, pages.length * this.pageBytes),
    );
    pages.forEach((page, i) => {
      this.#store.release(slots[i]);
      const marks = this.#state.get(page) & ~STATE;
      this.#state.set(page, (first === undefined ? DIGEST_ONLY : SPILLED) | marks);
      if (first !== undefined) this.#place.set(page, first + i);
    });
  }
}

/** Pages written last that an image of this bound still has; see `PageImage.reachPages`. */
export function reachOf(pageBytes: number, boundBytes: number, hasSpill: boolean): number {
  if (hasSpill) return Infinity;
  const capacity = Math.max(Math.floor(boundBytes / pageBytes), 2 * EVICTED_AT_ONCE);
  return capacity - EVICTED_AT_ONCE;
}
