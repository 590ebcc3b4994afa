import { PageSpace } from "../../codec/page_space.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";

type Item<Kind extends MemoryItem["kind"]> = MemoryItem & { readonly kind: Kind };

/**
 * Which pages of the layout one memory stream has named, one bit each. The first pass of a stream
 * names every page of every block, also of firmware and devices, but those that the machine calls
 * free; so at the stream's end the others are what never had to be sent.
 */
export class NamedPages {
  readonly #space: PageSpace;
  readonly #words: Uint32Array;
  #count = 0;

  private constructor(space: PageSpace) {
    this.#space = space;
    this.#words = new Uint32Array(Math.ceil(space.pageCount / 32));
  }

  /** Null for a memory that is too large to be followed page by page. */
  static of(layout: Item<"layout">): NamedPages | null {
    const space = new PageSpace(layout);
    return space.canBeFollowed ? new NamedPages(space) : null;
  }

  /** Pages that no item has named, in bytes. */
  get missingBytes(): number {
    return (this.#space.pageCount - this.#count) * this.#space.pageBytes;
  }

  /** Pages outside of the layout are passed over: refusing them is the encoder's. */
  note(item: MemoryItem): void {
    if (item.kind === "pages") this.#notePages(item);
    else if (item.kind === "zeros") this.#noteZeros(item);
  }

  #notePages({ block, pageIndexes }: Item<"pages">): void {
    const first = this.#space.firstOf(block);
    const count = this.#space.pagesOf(block);
    for (const index of pageIndexes) if (index < count) this.#add(first + index);
  }

  #noteZeros({ block, ranges }: Item<"zeros">): void {
    const first = this.#space.firstOf(block);
    const count = this.#space.pagesOf(block);
    for (let i = 0; i < ranges.length; i += 2) {
      const end = Math.min(count, ranges[i] + ranges[i + 1]);
      for (let index = ranges[i]; index < end; index++) this.#add(first + index);
    }
  }

  #add(page: number): void {
    const bit = 1 << (page & 31);
    const word = this.#words[page >>> 5];
    if ((word & bit) !== 0) return;
    this.#words[page >>> 5] = word | bit;
    this.#count++;
  }
}
