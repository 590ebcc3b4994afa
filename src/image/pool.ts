import { PageStore } from "./page_store.ts";

/** Ranges of zero pages that may wait; each counts a few bytes, so they have a limit of their own. */
const RANGES_MAX = 65_536;

/** Zero pages or contents that leave the pool together, in the order in which they must. */
export interface Taken {
  /** firstPage, pageCount pairs; they come before the contents. */
  readonly ranges: readonly number[];
  readonly pages: readonly number[];
  /** Of `pages`, back to back; the pool's own until the next `take`. */
  readonly contents: Uint8Array;
}

/**
 * Pages that wait for the link, by page number: a newer version takes the place of the older, and the
 * page that was written longest ago leaves first, so what is written all the time waits till last.
 */
export class PagePool {
  /** Bytes of versions that were replaced before they left. */
  replacedBytes = 0;
  readonly #store: PageStore;
  readonly #slots = new Map<number, number>();
  #ranges: number[] = [];
  #out = new Uint8Array(0);

  /** @param boundBytes contents that wait at most */
  constructor(readonly pageBytes: number, boundBytes: number) {
    this.#store = new PageStore(pageBytes, Math.max(boundBytes, pageBytes));
  }

  get isEmpty(): boolean {
    return this.#slots.size === 0 && this.#ranges.length === 0;
  }

  /** Zero pages wait. */
  get hasZeros(): boolean {
    return this.#ranges.length > 0;
  }

  /** Bytes of contents that wait. */
  get waitingBytes(): number {
    return this.#slots.size * this.pageBytes;
  }

  /**
   * Puts a page, which is copied, in place of an older version.
   *
   * @returns false when there is no room for another page; nothing has happened then
   */
  put(page: number, content: Uint8Array): boolean {
    let slot = this.#slots.get(page);
    if (slot === undefined) {
      if (this.#store.isFull) return false;
      slot = this.#store.add(page);
      this.#slots.set(page, slot);
    } else {
      this.#store.touch(slot);
      this.replacedBytes += this.pageBytes;
    }
    this.#store.pieceOf(slot).set(content, this.#store.offsetOf(slot));
    return true;
  }

  /** @returns false when there is no room for another range */
  putZeros(firstPage: number, pageCount: number): boolean {
    const last = this.#ranges.length - 2;
    const extendsLast = last >= 0 && this.#ranges[last] + this.#ranges[last + 1] === firstPage;
    if (!extendsLast && last + 2 >= 2 * RANGES_MAX) return false;
    // A long range over a small pool is looked for in the pool, not page by page.
    if (pageCount > this.#slots.size) {
      for (const page of [...this.#slots.keys()]) {
        if (page >= firstPage && page < firstPage + pageCount) this.drop(page);
      }
    } else {
      for (let page = firstPage; page < firstPage + pageCount; page++) this.drop(page);
    }
    if (extendsLast) this.#ranges[last + 1] += pageCount;
    else this.#ranges.push(firstPage, pageCount);
    return true;
  }

  /** Takes a page out that need not travel any more. */
  drop(page: number): void {
    const slot = this.#slots.get(page);
    if (slot === undefined) return;
    this.#store.release(slot);
    this.#slots.delete(page);
    this.replacedBytes += this.pageBytes;
  }

  /** Takes all zero ranges and the coldest pages, `pagesMax` at most, in the order of their numbers. */
  take(pagesMax: number): Taken {
    const slots: number[] = [];
    for (let slot = this.#store.oldest; slot >= 0 && slots.length < pagesMax;) {
      slots.push(slot);
      slot = this.#store.newerThan(slot);
    }
    slots.sort((a, b) => this.#store.pageOf(a) - this.#store.pageOf(b));
    const bytes = slots.length * this.pageBytes;
    if (this.#out.byteLength < bytes) this.#out = new Uint8Array(bytes);
    const pages = slots.map((slot, i) => {
      const from = this.#store.offsetOf(slot);
      const content = this.#store.pieceOf(slot).subarray(from, from + this.pageBytes);
      this.#out.set(content, i * this.pageBytes);
      const page = this.#store.pageOf(slot);
      this.#slots.delete(page);
      this.#store.release(slot);
      return page;
    });
    const ranges = this.#ranges;
    this.#ranges = [];
    return { ranges, pages, contents: this.#out.subarray(0, bytes) };
  }

  /** Drops everything and gives the memory back. */
  clear(): void {
    this.#slots.clear();
    this.#store.clear();
    this.#ranges = [];
  }
}
