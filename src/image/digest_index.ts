import { DIGEST_WORDS } from "./page_digest.ts";
import type { PageImage } from "./page_image.ts";

const NONE = 0xffff_ffff;
const ENTRIES_MIN = 1024;
/** Probes before a search gives up: entries of pages that were rewritten may stand in the way. */
const PROBES_MAX = 32;

/**
 * Finds a page of an image by the digest of its content. Only page numbers are stored (open
 * addressing, at most half full, 8 to 16 bytes for each page); the digests are the image's own, so an
 * entry whose page has changed since simply does not match.
 */
export class DigestIndex {
  #slots = new Uint32Array(ENTRIES_MIN).fill(NONE);
  #used = 0;

  constructor(private readonly image: PageImage) {}

  /** A page whose content has this digest; -1 when none is known. */
  find(digest: Uint32Array): number {
    const mask = this.#slots.length - 1;
    for (let probe = 0, at = digest[0] & mask; probe < PROBES_MAX; probe++, at = (at + 1) & mask) {
      const page = this.#slots[at];
      if (page === NONE) return -1;
      if (this.image.hasDigest(page) && this.image.hasThisDigest(page, digest)) return page;
    }
    return -1;
  }

  /** Notes a page whose digest the image knows. */
  add(page: number): void {
    if (2 * (this.#used + 1) > this.#slots.length) this.#rebuild();
    this.#put(page);
  }

  get allocatedBytes(): number {
    return this.#slots.byteLength;
  }

  #put(page: number): void {
    const mask = this.#slots.length - 1;
    let at = this.image.digestWord(page, 0) & mask;
    while (this.#slots[at] !== NONE) {
      if (this.#slots[at] === page) return;
      at = (at + 1) & mask;
    }
    this.#slots[at] = page;
    this.#used++;
  }

  /** Drops entries that match nothing any more; grows when that is not enough. */
  #rebuild(): void {
    const old = this.#slots;
    const valid = old.filter((page, at) => page !== NONE && this.#isLive(old, page, at));
    const length = 4 * valid.length > old.length ? 2 * old.length : old.length;
    this.#slots = new Uint32Array(length).fill(NONE);
    this.#used = 0;
    for (const page of valid) this.#put(page);
  }

  /** A page is found by its digest only from the place where that leads to. */
  #isLive(slots: Uint32Array, page: number, at: number): boolean {
    if (!this.image.hasDigest(page)) return false;
    const mask = slots.length - 1;
    return ((at - this.image.digestWord(page, 0)) & mask) < PROBES_MAX;
  }
}

/** A digest to be used again and again. */
export function digestBuffer(): Uint32Array {
  return new Uint32Array(DIGEST_WORDS);
}
