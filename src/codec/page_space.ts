import { type Layout, pagesOfBlock } from "./memory_layout.ts";

/** Largest memory that is followed page by page: 1 TiB of 4 KiB pages. */
export const FOLLOWED_PAGES_MAX = 2 ** 28;

/** One number for each page of all blocks, in their order. */
export class PageSpace {
  readonly pageBytes: number;
  readonly pageCount: number;
  readonly #firsts: number[] = [];

  constructor(readonly layout: Layout) {
    this.pageBytes = layout.pageBytes;
    let count = 0;
    for (let block = 0; block < layout.blocks.length; block++) {
      this.#firsts.push(count);
      count += pagesOfBlock(layout, block);
    }
    this.pageCount = count;
  }

  get canBeFollowed(): boolean {
    return this.pageCount <= FOLLOWED_PAGES_MAX;
  }

  /** Number of the first page of a block. */
  firstOf(block: number): number {
    return this.#firsts[block];
  }

  pagesOf(block: number): number {
    return pagesOfBlock(this.layout, block);
  }

  /** Block and index there of a page number. */
  placeOf(page: number): { block: number; index: number } {
    let block = this.#firsts.length - 1;
    while (this.#firsts[block] > page) block--;
    return { block, index: page - this.#firsts[block] };
  }
}

/** True when page numbers of one layout mean the same pages in the other. */
export function isSameLayout(left: Layout, right: Layout): boolean {
  return left.pageBytes === right.pageBytes && left.section === right.section &&
    left.blocks.length === right.blocks.length &&
    left.blocks.every((block, i) =>
      block.name === right.blocks[i].name && block.lengthBytes === right.blocks[i].lengthBytes
    );
}
