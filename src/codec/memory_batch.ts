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
 * ```
 */
import type { MemoryItem } from "../guest/memory_items.ts";
import { batchInvalid, ByteSink, ByteSource } from "./bytes.ts";
import { open, seal, ZSTD_LEVEL } from "./envelope.ts";
import { getLayout, type Layout, layoutFault, pagesOfBlock, putLayout } from "./memory_layout.ts";

const LAYOUT = 1;
const PAGES = 2;
const ZEROS = 3;
const OPAQUE = 4;

export const REASON_BYTES_MAX = 1_024;

/** One encoded batch and what it stands for. */
export interface MemoryBatch {
  readonly payload: Uint8Array;
  /** Bytes of pages and opaque parts, before compression. */
  readonly rawBytes: number;
  /** Bytes of the zero pages that travel as ranges. */
  readonly zeroBytes: number;
}

/** Writes items into one batch after the other; contents are copied when they are put. */
export class MemoryBatchWriter {
  layout: Layout | null = null;
  readonly #contents: ByteSink;
  readonly #description = new ByteSink(4096);
  #rawBytes = 0;
  #zeroBytes = 0;

  constructor(capacityBytes: number) {
    this.#contents = new ByteSink(capacityBytes);
  }

  /** Bytes so far, before compression. */
  get bodyBytes(): number {
    return this.#contents.lengthBytes + this.#description.lengthBytes;
  }

  /** @throws {TypeError} when the item does not fit the layout, which is a defect of its maker */
  put(item: MemoryItem): void {
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

  /** The batch of everything put since the last one; null when that is nothing. */
  take(level: number): MemoryBatch | null {
    if (this.#description.lengthBytes === 0) return null;
    const payload = seal(this.#contents, this.#description.view(), level);
    const batch = { payload, rawBytes: this.#rawBytes, zeroBytes: this.#zeroBytes };
    this.#contents.clear();
    this.#description.clear();
    this.#rawBytes = this.#zeroBytes = 0;
    return batch;
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
    this.#rawBytes += contents.byteLength;
  }

  #putZeros({ block, ranges }: Extract<MemoryItem, { kind: "zeros" }>): void {
    const { layout, blockPages } = this.#known(block);
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
      this.#zeroBytes += pageCount * layout.pageBytes;
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
    this.#rawBytes += bytes.byteLength;
  }

  #known(block: number): { layout: Layout; blockPages: number } {
    if (this.layout === null) throw new TypeError("Pages come before the layout of the memory");
    return { layout: this.layout, blockPages: pagesOfBlock(this.layout, block) };
  }
}

/** Encodes all items as one batch; `batcher.ts` cuts a stream of them into batches. */
export function encodeMemoryBatch(
  items: Iterable<MemoryItem>,
  { layout = null as Layout | null, level = ZSTD_LEVEL } = {},
): Uint8Array {
  const writer = new MemoryBatchWriter(65_536);
  writer.layout = layout;
  for (const item of items) writer.put(item);
  const batch = writer.take(level);
  if (batch === null) throw new TypeError("A batch holds at least one item");
  return batch.payload;
}

/** Decodes the batches of one channel in order; remembers the layout from batch to batch. */
export interface MemoryDecoder {
  /** Null before the first layout. */
  readonly layout: Layout | null;
  /**
   * @returns items whose bytes are views into the batch; they stay valid as long as `payload`
   * @throws {GatewayError} `batch_invalid`, before any item is given out
   */
  decode(payload: Uint8Array): MemoryItem[];
}

/** A decoder for the batches of one `memory` channel, which it needs in their order. */
export function createMemoryDecoder(): MemoryDecoder {
  return new Decoder();
}

class Decoder implements MemoryDecoder {
  layout: Layout | null = null;

  decode(payload: Uint8Array): MemoryItem[] {
    const body = open(payload);
    const contents = new ByteSource(body.contents);
    const source = new ByteSource(body.description);
    const items: MemoryItem[] = [];
    let layout = this.layout;
    while (source.remaining > 0) {
      const kind = source.u8();
      if (kind === LAYOUT) items.push(layout = getLayout(source));
      else if (kind === PAGES) items.push(getPages(source, contents, layout));
      else if (kind === ZEROS) items.push(getZeros(source, layout));
      else if (kind === OPAQUE) items.push(getOpaque(source));
      else throw batchInvalid(`item of kind ${kind}`);
    }
    if (items.length === 0) throw batchInvalid("it is empty");
    contents.end();
    this.layout = layout;
    return items;
  }
}

function getPages(source: ByteSource, contents: ByteSource, layout: Layout | null): MemoryItem {
  const { block, blockPages, pageBytes } = getBlock(source, layout);
  const count = source.count(1, "pages");
  if (count === 0 || count * pageBytes > contents.remaining) {
    throw batchInvalid(`${count} pages in ${contents.remaining} bytes`);
  }
  const pageIndexes = new Uint32Array(count);
  let expected = 0;
  for (let i = 0; i < count; i++) {
    const index = expected + source.signed();
    if (index < 0 || index >= blockPages) throw batchInvalid(`block ${block} has no page ${index}`);
    pageIndexes[i] = index;
    expected = index + 1;
  }
  return { kind: "pages", block, pageIndexes, contents: contents.raw(count * pageBytes) };
}

function getZeros(source: ByteSource, layout: Layout | null): MemoryItem {
  const { block, blockPages } = getBlock(source, layout);
  const count = source.count(2, "ranges");
  if (count === 0) throw batchInvalid("no range of zero pages");
  const ranges = new Uint32Array(2 * count);
  let expected = 0;
  for (let i = 0; i < count; i++) {
    const firstPage = expected + source.signed();
    const pageCount = source.varint();
    // A page count of 2^32 does not fit a u32; such a block is sent as two ranges.
    const endPage = firstPage + pageCount;
    if (firstPage < 0 || pageCount === 0 || endPage > blockPages || pageCount >= 2 ** 32) {
      throw batchInvalid(`block ${block} has no pages ${firstPage} + ${pageCount}`);
    }
    ranges[2 * i] = firstPage;
    ranges[2 * i + 1] = pageCount;
    expected = endPage;
  }
  return { kind: "zeros", block, ranges };
}

function getOpaque(source: ByteSource): MemoryItem {
  const reasonBytes = source.varint() - 1;
  if (reasonBytes > REASON_BYTES_MAX) throw batchInvalid(`a reason of ${reasonBytes} bytes`);
  const reason = reasonBytes < 0 ? null : new TextDecoder().decode(source.raw(reasonBytes));
  const bytes = source.raw(source.varint());
  return reason === null ? { kind: "opaque", bytes } : { kind: "opaque", bytes, reason };
}

function getBlock(source: ByteSource, layout: Layout | null) {
  if (layout === null) throw batchInvalid("pages come before the layout of the memory");
  const block = source.varint();
  if (block >= layout.blocks.length) throw batchInvalid(`there is no block ${block}`);
  return { block, blockPages: pagesOfBlock(layout, block), pageBytes: layout.pageBytes };
}
