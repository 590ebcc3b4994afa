import { ByteSink } from "./bytes.ts";
import { type Delta, putDelta } from "./delta.ts";
import { CHANGES } from "./item_kinds.ts";
import { DELTA, DUPLICATE, WHOLE, ZEROS } from "./page_coder.ts";

/**
 * Writes items of changed pages, strictly in the order in which the destination applies them:
 *
 * ```
 * varint block, count, then for each page: varint 4 * zigzag(distance from the page after the last)
 * plus what it is:
 *   0 whole      contents: the page
 *   1 delta      varint runCount, (varint equal words, varint differing words)*
 *                contents: the differing words, old XOR new
 *   2 duplicate  signed distance of the page with that content from the one after the last such
 *                page; numbers count through all blocks (page_space.ts)
 *   3 zeros
 * ```
 */
export class ChangeWriter {
  /** Pages since `clear`. */
  pageCount = 0;
  readonly #entries = new ByteSink(4096);
  #block = -1;
  #count = 0;
  #expected = 0;
  #expectedSource = 0;

  constructor(private readonly contents: ByteSink, private readonly description: ByteSink) {}

  /** Bytes of the item that is not closed yet. */
  get openBytes(): number {
    return this.#entries.lengthBytes;
  }

  /** What follows belongs to this block. */
  begin(block: number): void {
    if (block === this.#block) return;
    this.close();
    this.#block = block;
  }

  whole(index: number, content: Uint8Array): void {
    this.#entry(index, WHOLE);
    this.contents.raw(content);
  }

  delta(index: number, delta: Delta): void {
    this.#entry(index, DELTA);
    putDelta(delta, this.#entries, this.contents);
  }

  /** @param source number of the page that has the content */
  duplicate(index: number, source: number): void {
    this.#entry(index, DUPLICATE);
    this.#entries.signed(source - this.#expectedSource);
    this.#expectedSource = source + 1;
  }

  zeros(index: number): void {
    this.#entry(index, ZEROS);
  }

  /** Ends the item, if one is open. */
  close(): void {
    if (this.#count > 0) {
      this.description.u8(CHANGES);
      this.description.varint(this.#block);
      this.description.varint(this.#count);
      this.description.raw(this.#entries.view());
      this.#entries.clear();
    }
    this.#block = -1;
    this.#count = this.#expected = this.#expectedSource = 0;
  }

  clear(): void {
    this.pageCount = 0;
  }

  #entry(index: number, what: number): void {
    const distance = index - this.#expected;
    this.#entries.varint(4 * (distance < 0 ? -2 * distance - 1 : 2 * distance) + what);
    this.#expected = index + 1;
    this.#count++;
    this.pageCount++;
  }
}
