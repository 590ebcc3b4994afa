/**
 * Batches of memory items, payload of `memoryBatch` frames. The envelope (`envelope.ts`) holds the
 * contents of all pages back to back; the description lists the items in order:
 *
 * ```
 * 1 layout  see memory_layout.ts
 * 2 pages   varint block, count, then for each page: signed distance from the page after the last
 * 3 zeros   varint block, count, then for each range: signed distance from the end of the last
 *           range, varint pages
 * 4 opaque  varint 0 or length of the reason + 1, reason, varint length, bytes
 * 5 changes see change_items.ts
 * 6 sum     16 bytes, see page_sum.ts; last, in every batch with changes and in no other
 * 7 kept    see kept_items.ts
 * 8 named   see named_items.ts
 * ```
 *
 * Kinds 5 and 6 are sent to a peer that said that it keeps an image, and to no other; kind 7 names
 * pages that the peer has offered (memory_offer.ts); kind 8 is sent to one that keeps an image and
 * said that it has a store besides.
 */
import type { MemoryItem } from "../guest/memory_items.ts";
import { ByteSink } from "./bytes.ts";
import { ChangeWriter } from "./change_items.ts";
import { type OpenBatch, openBatch, pack, ZSTD_LEVEL } from "./envelope.ts";
import { KeptWriter } from "./kept_items.ts";
import { LAYOUT, OPAQUE, PAGES, REASON_BYTES_MAX, SUM, ZEROS } from "./item_kinds.ts";
import { type Layout, layoutFault, pagesOfBlock, putLayout } from "./memory_layout.ts";
import { NamedWriter } from "./named_items.ts";
import { PageSum } from "./page_sum.ts";

/** Writes items into one batch after the other; contents are copied when they are put. */
export class MemoryBatchWriter {
  layout: Layout | null = null;
  readonly #contents: ByteSink;
  readonly #description = new ByteSink(4096);
  readonly #changes: ChangeWriter;
  readonly #kept: KeptWriter;
  readonly #named: NamedWriter;
  #sum = new PageSum();

  constructor(capacityBytes: number) {
    this.#contents = new ByteSink(capacityBytes);
    this.#changes = new ChangeWriter(this.#contents, this.#description);
    this.#kept = new KeptWriter(this.#description);
    this.#named = new NamedWriter(this.#contents, this.#description);
  }

  /** Bytes so far, before compression. */
  get bodyBytes(): number {
    return this.#contents.lengthBytes + this.#description.lengthBytes + this.#changes.openBytes +
      this.#kept.openBytes + this.#named.openBytes;
  }

  /** Pages among the changes so far, and named ones. */
  get changedPages(): number {
    return this.#changes.pageCount + this.#named.pageCount;
  }

  /** Kept pages so far. */
  get keptPages(): number {
    return this.#kept.pageCount;
  }

  /** @throws {TypeError} when the item does not fit the layout, which is a defect of its maker */
  put(item: MemoryItem): void {
    this.#closeOpen();
    switch (item.kind) {
      case "layout":
        return this.#putLayout(item);
      case "pages":
        return this.#putPages(item);
      case "zeros":
        return this.#putZeros(item);
      case "opaque":
        return this.#putOpaque(item);
    }
  }

  /**
   * Changed pages of one block, in order, one call of its methods for each. Nothing else may be put
   * meanwhile; whole contents and those that a change leads to go into `sum`.
   */
  changes(block: number): ChangeWriter {
    this.#known(block);
    this.#kept.close();
    this.#named.close();
    this.#changes.begin(block);
    return this.#changes;
  }

  /** Named pages of one block, in order; as `changes`, but nothing of them goes into `sum`. */
  named(block: number): NamedWriter {
    this.#known(block);
    this.#changes.close();
    this.#kept.close();
    this.#named.begin(block);
    return this.#named;
  }

  /** A page that the destination has kept; it takes its place among everything else. */
  kept(block: number, index: number): void {
    this.#known(block);
    this.#changes.close();
    this.#named.close();
    this.#kept.page(block, index);
  }

  /** Contents so far, for a look at how well they pack. */
  get contents(): Uint8Array {
    return this.#contents.view();
  }

  /** The sum of the batch that is being written. */
  get sum(): PageSum {
    return this.#sum;
  }

  /**
   * The batch of everything put since the last one; null when that is nothing. Its body is this
   * writer's own and valid until the next `put`.
   */
  take(level: number | null): OpenBatch | null {
    this.#closeOpen();
    if (this.#description.lengthBytes === 0) return null;
    if (this.#changes.pageCount > 0) {
      this.#description.u8(SUM);
      this.#sum.put(this.#description);
    }
    const batch = openBatch(this.#contents, this.#description.view(), level);
    this.#contents.clear();
    this.#description.clear();
    this.#changes.clear();
    this.#kept.clear();
    this.#named.clear();
    this.#sum = new PageSum();
    return batch;
  }

  #closeOpen(): void {
    this.#changes.close();
    this.#kept.close();
    this.#named.close();
  }

  #putLayout(layout: Layout): void {
    const fault = layoutFault(layout);
    if (fault !== null) throw new TypeError(`Cannot encode a memory layout: ${fault}`);
    this.layout = layout;
    this.#description.u8(LAYOUT);
    putLayout(this.#description, layout);
  }

  #putPages({ block, pageIndexes, contents }: Extract<MemoryItem, { kind: "pages" }>): void {
    const { layout, blockPages } = this.#known(block);
    if (contents.byteLength !== pageIndexes.length * layout.pageBytes) {
      throw new TypeError(`${pageIndexes.length} pages come with ${contents.byteLength} bytes`);
    }
    if (pageIndexes.length === 0) return;
    this.#description.u8(PAGES);
    this.#description.varint(block);
    this.#description.varint(pageIndexes.length);
    let expected = 0;
    for (const index of pageIndexes) {
      if (index >= blockPages) throw new TypeError(`Block ${block} has no page ${index}`);
      this.#description.signed(index - expected);
      expected = index + 1;
    }
    this.#contents.raw(contents);
  }

  #putZeros({ block, ranges }: Extract<MemoryItem, { kind: "zeros" }>): void {
    const { blockPages } = this.#known(block);
    if (ranges.length % 2 !== 0) throw new TypeError("Zero ranges are pairs");
    if (ranges.length === 0) return;
    this.#description.u8(ZEROS);
    this.#description.varint(block);
    this.#description.varint(ranges.length / 2);
    let expected = 0;
    for (let i = 0; i < ranges.length; i += 2) {
      const [firstPage, pageCount] = [ranges[i], ranges[i + 1]];
      if (pageCount === 0 || firstPage + pageCount > blockPages) {
        throw new TypeError(`Block ${block} has no pages ${firstPage} + ${pageCount}`);
      }
      this.#description.signed(firstPage - expected);
      this.#description.varint(pageCount);
      expected = firstPage + pageCount;
    }
  }

  #putOpaque({ bytes, reason }: Extract<MemoryItem, { kind: "opaque" }>): void {
    this.#description.u8(OPAQUE);
    if (reason === undefined) this.#description.varint(0);
    else {
      const text = new TextEncoder().encode(reason).subarray(0, REASON_BYTES_MAX);
      this.#description.varint(text.byteLength + 1);
      this.#description.raw(text);
    }
    this.#description.varint(bytes.byteLength);
    this.#description.raw(bytes);
  }

  #known(block: number): { layout: Layout; blockPages: number } {
    if (this.layout === null) throw new TypeError("Pages come before the layout of the memory");
    return { layout: this.layout, blockPages: pagesOfBlock(this.layout, block) };
  }
}

/** Encodes all items as one batch; `memory_encoder.ts` cuts a stream of them into batches. */
export function encodeMemoryBatch(
  items: Iterable<MemoryItem>,
  { layout = null as Layout | null, level = ZSTD_LEVEL } = {},
): Uint8Array {
  const writer = new MemoryBatchWriter(65_536);
  writer.layout = layout;
  for (const item of items) writer.put(item);
  const batch = writer.take(level);
  if (batch === null) throw new TypeError("A batch holds at least one item");
  return pack(batch);
}
