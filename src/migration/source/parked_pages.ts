import { Buffer } from "node:buffer";
import type { MemoryEncoder } from "../../codec/memory_encoder.ts";
import { PageSpace } from "../../codec/page_space.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { PagePool } from "../../image/pool.ts";

/** Pages taken out at once: 256 KiB of usual ones, a batch's worth if they travel whole. */
const PAGES_AT_ONCE = 64;

type Item<Kind extends MemoryItem["kind"]> = MemoryItem & { readonly kind: Kind };

/**
 * The pool of pages of one memory stream, in terms of the stream's items. Pages that the destination
 * has like that already do not enter it.
 */
export class ParkedPages {
  readonly #space: PageSpace;
  readonly #pool: PagePool;
  readonly #zeroPage: Buffer;

  constructor(layout: Item<"layout">, boundBytes: number, private readonly encoder: MemoryEncoder) {
    this.#space = new PageSpace(layout);
    this.#pool = new PagePool(layout.pageBytes, boundBytes);
    this.#zeroPage = Buffer.alloc(layout.pageBytes);
  }

  get isEmpty(): boolean {
    return this.#pool.isEmpty;
  }

  get waitingBytes(): number {
    return this.#pool.waitingBytes;
  }

  /** Bytes of pages that were written again before they left. */
  get replacedBytes(): number {
    return this.#pool.replacedBytes;
  }

  /** Bytes of the pages that an item is about. */
  bytesOf(item: Item<"pages"> | Item<"zeros">): number {
    if (item.kind === "pages") return item.contents.byteLength;
    let count = 0;
    for (let i = 1; i < item.ranges.length; i += 2) count += item.ranges[i];
    return count * this.#space.pageBytes;
  }

  /**
   * Parks an item from its entry `from` on.
   *
   * @returns the first entry that there was no room for; the number of entries when all are parked
   */
  park(item: Item<"pages"> | Item<"zeros">, from: number): number {
    return item.kind === "pages" ? this.#parkPages(item, from) : this.#parkZeros(item, from);
  }

  /** Takes out what leaves next, as items; their contents are valid until the next call. */
  take(): MemoryItem[] {
    const { ranges, pages, contents } = this.#pool.take(PAGES_AT_ONCE);
    const { pageBytes } = this.#space;
    const items = this.#zeroItems(ranges);
    for (let from = 0; from < pages.length;) {
      const { block } = this.#space.placeOf(pages[from]);
      const first = this.#space.firstOf(block);
      const end = first + this.#space.pagesOf(block);
      let to = from + 1;
      while (to < pages.length && pages[to] < end) to++;
      items.push({
        kind: "pages",
        block,
        pageIndexes: Uint32Array.from(pages.slice(from, to), (page) => page - first),
        contents: contents.subarray(from * pageBytes, to * pageBytes),
      });
      from = to;
    }
    return items;
  }

  clear(): void {
    this.#pool.clear();
  }

  #parkPages({ block, pageIndexes, contents }: Item<"pages">, from: number): number {
    const first = this.#space.firstOf(block);
    const { pageBytes } = this.#space;
    for (let i = from; i < pageIndexes.length; i++) {
      const index = pageIndexes[i];
      const content = contents.subarray(i * pageBytes, (i + 1) * pageBytes);
      if (this.#isZero(content)) {
        // Neither copied in nor out.
        if (!this.#pool.putZeros(first + index, 1)) return i;
      } else if (this.#isThere(block, index, content)) this.#pool.drop(first + index);
      else if (!this.#pool.put(first + index, content)) return i;
    }
    return pageIndexes.length;
  }

  /**
   * The destination has the page like that, and what is parked does not change that: a page that was
   * zero for a moment is about to become zero there. Ranges leave with the next take, so for as long
   * the encoder decides, which comes after them.
   */
  #isThere(block: number, index: number, content: Uint8Array): boolean {
    return !this.#pool.hasZeros && this.encoder.skipUnchanged(block, index, content);
  }

  /** Few pages that are not zero begin and end with one: most are not even compared. */
  #isZero(content: Uint8Array): boolean {
    return content[0] === 0 && content[content.byteLength - 1] === 0 &&
      this.#zeroPage.equals(content);
  }

  #parkZeros({ block, ranges }: Item<"zeros">, from: number): number {
    const first = this.#space.firstOf(block);
    for (let i = from; i < ranges.length; i += 2) {
      if (!this.#pool.putZeros(first + ranges[i], ranges[i + 1])) return i;
    }
    return ranges.length;
  }

  /** Neighbouring ranges of two blocks were joined: they part here again. */
  #zeroItems(joined: readonly number[]): MemoryItem[] {
    const byBlock = new Map<number, number[]>();
    for (let i = 0; i < joined.length; i += 2) {
      for (let page = joined[i], left = joined[i + 1]; left > 0;) {
        const { block, index } = this.#space.placeOf(page);
        const count = Math.min(left, this.#space.pagesOf(block) - index);
        const ranges = byBlock.get(block) ?? [];
        ranges.push(index, count);
        byBlock.set(block, ranges);
        page += count;
        left -= count;
      }
    }
    return [...byBlock].map(([block, ranges]) => ({
      kind: "zeros",
      block,
      ranges: Uint32Array.from(ranges),
    }));
  }
}
