import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { MemoryItem } from "../../guest/memory_items.ts";
import type { Layout } from "../memory_layout.ts";

export const PAGE = 512;
const BLOCKS = [300, 7, 93];
export const PAGES = BLOCKS.reduce((sum, count) => sum + count, 0);

export const LAYOUT: Layout = {
  kind: "layout",
  pageBytes: PAGE,
  section: 2,
  blocks: BLOCKS.map((pages, i) => ({ name: `block ${i}`, lengthBytes: pages * PAGE })),
};

/** A block of the layout and the index in it, for a number that counts through all blocks. */
export function placeOf(page: number): { block: number; index: number } {
  let block = 0;
  let index = page;
  while (index >= BLOCKS[block]) index -= BLOCKS[block++];
  return { block, index };
}

/** Seeded numbers; the same seed gives the same machine. */
export function randomFrom(seed: number): (below: number) => number {
  let state = (seed ^ 0x2545f491) >>> 0 || 1;
  return (below) => {
    state ^= state << 13, state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5, state >>>= 0;
    return state % below;
  };
}

/** A machine that writes to its memory in the ways that matter here. */
export class GuestModel {
  readonly memory = Buffer.alloc(PAGES * PAGE);
  readonly #dirty = new Set<number>();
  readonly #random: (below: number) => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    for (let page = 0; page < PAGES; page++) {
      if (page % 4 !== 0) this.#fill(page, this.#random(4) === 0 ? this.#random(5) : page + 10);
    }
    this.touchAll();
  }

  page(page: number): Buffer {
    return this.memory.subarray(page * PAGE, (page + 1) * PAGE);
  }

  touchAll(): void {
    for (let page = 0; page < PAGES; page++) this.#dirty.add(page);
  }

  /** Its machine calls the page free: it is named again only after a write. */
  leaveOut(page: number): void {
    this.#dirty.delete(page);
  }

  /** Changes one word. */
  write(page: number, word: number): void {
    this.page(page)[4 * word] ^= 0xff;
    this.#dirty.add(page);
  }

  /** Writes, some to pages that are often written, some without any effect. */
  work(writes: number): void {
    for (let i = 0; i < writes; i++) {
      const page = this.#random(3) > 0 ? this.#random(PAGES) : this.#random(20);
      const kind = this.#random(20);
      if (kind === 0) this.page(page).fill(0);
      else if (kind < 3) {
        this.#fill(page, this.#random(4) === 0 ? this.#random(5) : this.#random(1e6));
      } else if (kind < 5) this.page(page).set(this.page(this.#random(PAGES)));
      else if (kind < 16) {
        this.page(page).writeUInt32LE(this.#random(2 ** 32), 4 * this.#random(128));
      }
      this.#dirty.add(page);
    }
  }

  /** What was written since the last call, in the groups in which a stream reader gives it. */
  dirtyItems(): MemoryItem[] {
    const items: MemoryItem[] = [];
    const pages = [...this.#dirty].sort((a, b) => a - b);
    this.#dirty.clear();
    for (let from = 0; from < pages.length;) {
      const { block } = placeOf(pages[from]);
      let to = from + 1;
      const most = 1 + this.#random(64);
      while (to < pages.length && to - from < most && placeOf(pages[to]).block === block) to++;
      items.push(...this.#group(block, pages.slice(from, to)));
      from = to;
    }
    return items;
  }

  /** Some pages of one block as they are now. */
  items(pages: readonly number[]): MemoryItem[] {
    return this.#group(placeOf(pages[0]).block, pages);
  }

  #group(block: number, pages: readonly number[]): MemoryItem[] {
    // The hypervisor does not always see that a page is zero.
    const isZero = (page: number) => page % 8 !== 0 && this.page(page).every((byte) => byte === 0);
    const whole = pages.filter((page) => !isZero(page));
    const zeros = pages.filter(isZero);
    const items: MemoryItem[] = [];
    if (whole.length > 0) {
      items.push({
        kind: "pages",
        block,
        pageIndexes: Uint32Array.from(whole, (page) => placeOf(page).index),
        contents: new Uint8Array(Buffer.concat(whole.map((page) => this.page(page)))),
      });
    }
    if (zeros.length > 0) {
      const ranges = zeros.flatMap((page) => [placeOf(page).index, 1]);
      items.push({ kind: "zeros", block, ranges: Uint32Array.from(ranges) });
    }
    return items;
  }

  /** Half noise, half text. */
  #fill(page: number, seed: number): void {
    const content = this.page(page);
    content.fill(`content ${seed}; `);
    const random = randomFrom(seed);
    if (seed % 2 === 0) { for (let at = 0; at < PAGE; at++) content[at] = random(256); }
  }
}

/** The memory that items lead to. */
export class MemoryModel {
  /** Not zero before the first write, as ROM is not. */
  readonly memory: Buffer;

  /** @param pages of the machine; more than the layout above has are one block's */
  constructor(pages = PAGES) {
    this.memory = Buffer.alloc(pages * PAGE, 0xc3);
  }

  apply(items: readonly MemoryItem[]): void {
    for (const item of items) {
      if (item.kind === "pages") {
        item.pageIndexes.forEach((index, i) => {
          const content = item.contents.subarray(i * PAGE, (i + 1) * PAGE);
          this.memory.set(content, (firstOf(item.block) + index) * PAGE);
        });
      } else if (item.kind === "zeros") {
        for (let i = 0; i < item.ranges.length; i += 2) {
          const at = (firstOf(item.block) + item.ranges[i]) * PAGE;
          this.memory.fill(0, at, at + item.ranges[i + 1] * PAGE);
        }
      }
    }
  }

  assertEquals(guest: GuestModel): void {
    for (let page = 0; page < PAGES; page++) {
      const mine = this.memory.subarray(page * PAGE, (page + 1) * PAGE);
      assert.ok(mine.equals(guest.page(page)), `page ${page} differs`);
    }
  }
}

function firstOf(block: number): number {
  return BLOCKS.slice(0, block).reduce((sum, pages) => sum + pages, 0);
}
