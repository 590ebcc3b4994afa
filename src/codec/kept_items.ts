import { ByteSink } from "./bytes.ts";
import { KEPT } from "./item_kinds.ts";

/**
 * Writes items of pages that the gateway at the destination has kept and its machine has not:
 *
 * ```
 * varint block, count, then for each range: signed distance from the end of the last range,
 * varint pages
 * ```
 */
export class KeptWriter {
  /** Pages since `clear`. */
  pageCount = 0;
  readonly #ranges = new ByteSink(256);
  #block = -1;
  #count = 0;
  #expected = 0;
  #first = 0;
  #end = -1;

  constructor(private readonly description: ByteSink) {}

  /** Bytes of the item that is not closed yet, at least. */
  get openBytes(): number {
    return this.#ranges.lengthBytes;
  }

  page(block: number, index: number): void {
    if (block !== this.#block) this.close();
    this.#block = block;
    this.pageCount++;
    if (index === this.#end) {
      this.#end++;
      return;
    }
    this.#closeRange();
    this.#first = index;
    this.#end = index + 1;
  }

  /** Ends the item, if one is open. */
  close(): void {
    this.#closeRange();
    if (this.#count > 0) {
      this.description.u8(KEPT);
      this.description.varint(this.#block);
      this.description.varint(this.#count);
      this.description.raw(this.#ranges.view());
      this.#ranges.clear();
    }
    this.#block = -1;
    this.#count = this.#expected = 0;
  }

  clear(): void {
    this.pageCount = 0;
  }

  #closeRange(): void {
    if (this.#end < 0) return;
    this.#ranges.signed(this.#first - this.#expected);
    this.#ranges.varint(this.#end - this.#first);
    this.#expected = this.#end;
    this.#count++;
    this.#end = -1;
  }
}
