import { GatewayError } from "../../core/errors.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { ELEMENT, MAX_NAME_BYTES, MAX_PAGE_BYTES, MIN_PAGE_BYTES, RAM } from "./format.ts";
import {
  nameBytes,
  putRecordWord,
  putSectionEnd,
  putSectionHeader,
  SECTION_END_BYTES,
  SECTION_HEADER_BYTES,
} from "./framing.ts";

/**
 * Memory of one section at most: between two, QEMU's loader lets its main loop run, so a monitor
 * command never waits longer than this takes to load.
 */
export const MAX_SECTION_BYTES = 4 * 1024 * 1024;
/** One piece of output at most, so that a long zero range never becomes one huge buffer. */
export const MAX_OUTPUT_BYTES = 1024 * 1024;

/** One stream being written; see `createStreamWriter`. */
export interface StreamWriter {
  /**
   * The bytes of one item, in pieces of at most `MAX_OUTPUT_BYTES` (an opaque item in one piece,
   * which is the item's own array). Lazy: the item counts as written only once this was iterated to
   * its end. A memory section stays open behind pages and zeros until an opaque item, `flush` or
   * `MAX_SECTION_BYTES` closes it; QEMU waits inside an open section as well as between two.
   *
   * @throws {GatewayError} `memory_item_invalid` if the item does not fit the layout; nothing of it
   *   has been given out then
   */
  write(item: MemoryItem): Generator<Uint8Array, void, undefined>;
  /** Closes an open memory section, so that the bytes so far end at a section's end. */
  flush(): Uint8Array[];
}

/**
 * Makes a valid main-channel stream of memory items again; the inverse of `createStreamReader`.
 *
 * Pages and zeros go into PART sections of its own making, with its own "same block" flags; opaque
 * bytes go out verbatim between sections, and the record after them names its block again.
 */
export function createStreamWriter(): StreamWriter {
  return new Writer();
}

type Item<Kind extends MemoryItem["kind"]> = MemoryItem & { readonly kind: Kind };

class Writer implements StreamWriter {
  private layout: Item<"layout"> | null = null;
  /** Bytes of the open section so far; null between sections. */
  private sectionBytes: number | null = null;
  /** Block that "same block" means to the reader of this stream; -1 if that is not known. */
  private lastBlock = -1;

  *write(item: MemoryItem): Generator<Uint8Array, void, undefined> {
    switch (item.kind) {
      case "layout":
        this.adopt(item);
        return;
      case "pages":
        yield* this.writePages(item);
        return;
      case "zeros":
        yield* this.writeZeros(item);
        return;
      case "opaque":
        yield* this.flush();
        this.lastBlock = -1;
        if (item.bytes.length > 0) yield item.bytes;
    }
  }

  flush(): Uint8Array[] {
    if (this.sectionBytes === null) return [];
    const { section } = this.requireLayout();
    const bytes = new Uint8Array(SECTION_END_BYTES);
    putSectionEnd(new DataView(bytes.buffer), 0, section);
    this.sectionBytes = null;
    return [bytes];
  }

  private adopt(layout: Item<"layout">): void {
    checkLayout(layout);
    if (this.layout && !sameLayout(this.layout, layout)) {
      throw invalid("a second layout differs from the first");
    }
    this.layout = layout;
  }

  private *writePages(item: Item<"pages">): Generator<Uint8Array, void, undefined> {
    const { pageBytes } = this.requireLayout();
    const { block, pageIndexes, contents } = item;
    const pageCount = this.pageCountOf(block);
    if (contents.length !== pageIndexes.length * pageBytes) {
      throw invalid(`${contents.length} bytes for ${pageIndexes.length} pages`);
    }
    for (const pageIndex of pageIndexes) checkPages(pageIndex, 1, pageCount);
    let next = 0;
    yield* this.writeRecords(block, pageIndexes.length, RAM.page, pageBytes, (bytes, at) => {
      const from = next++ * pageBytes;
      bytes.set(contents.subarray(from, from + pageBytes), at);
    }, () => pageIndexes[next]);
  }

  private *writeZeros(item: Item<"zeros">): Generator<Uint8Array, void, undefined> {
    const { block, ranges } = item;
    const pageCount = this.pageCountOf(block);
    if (ranges.length % 2 !== 0) throw invalid("a zero range without a length");
    let recordCount = 0;
    for (let i = 0; i < ranges.length; i += 2) {
      checkPages(ranges[i], ranges[i + 1], pageCount);
      recordCount += ranges[i + 1];
    }
    let range = -2;
    let pageIndex = 0;
    let left = 0;
    const nextPage = () => {
      while (left === 0) {
        range += 2;
        pageIndex = ranges[range];
        left = ranges[range + 1];
      }
      left--;
      return pageIndex++;
    };
    // The body is the fill byte, 0 like the fresh buffer.
    yield* this.writeRecords(block, recordCount, RAM.zero, 1, () => {}, nextPage);
  }

  private *writeRecords(
    block: number,
    recordCount: number,
    flag: number,
    bodyBytes: number,
    putBody: (bytes: Uint8Array, at: number) => void,
    nextPage: () => number,
  ): Generator<Uint8Array, void, undefined> {
    const { pageBytes, section, blocks } = this.requireLayout();
    const recordBytes = 8 + bodyBytes;
    const recordsPerPiece = Math.floor(
      (MAX_OUTPUT_BYTES - SECTION_HEADER_BYTES - 1 - MAX_NAME_BYTES) / recordBytes,
    );
    for (let left = recordCount; left > 0;) {
      const name = block === this.lastBlock ? null : nameBytes(blocks[block].name);
      const opening = this.sectionBytes === null ? SECTION_HEADER_BYTES : 0;
      const count = Math.min(left, recordsPerPiece);
      const bytes = new Uint8Array(opening + (name?.length ?? 0) + count * recordBytes);
      const view = new DataView(bytes.buffer);
      let at = opening ? putSectionHeader(view, 0, ELEMENT.part, section) : 0;
      for (let i = 0; i < count; i++) {
        const named = i === 0 && name;
        at = putRecordWord(view, at, nextPage(), pageBytes, flag | (named ? 0 : RAM.sameBlock));
        if (named) {
          bytes.set(named, at);
          at += named.length;
        }
        putBody(bytes, at);
        at += bodyBytes;
      }
      left -= count;
      this.lastBlock = block;
      this.sectionBytes = (this.sectionBytes ?? 0) + bytes.length;
      yield bytes;
      if (this.sectionBytes + MAX_OUTPUT_BYTES > MAX_SECTION_BYTES) yield* this.flush();
    }
  }

  private requireLayout(): Item<"layout"> {
    return this.layout ?? fail("pages came before the layout");
  }

  private pageCountOf(block: number): number {
    const { blocks, pageBytes } = this.requireLayout();
    const listed = blocks[block] ?? fail(`block ${block} of ${blocks.length}`);
    return listed.lengthBytes / pageBytes;
  }
}

function checkLayout({ pageBytes, section, blocks }: Item<"layout">): void {
  const powerOfTwo = (pageBytes & (pageBytes - 1)) === 0;
  if (pageBytes < MIN_PAGE_BYTES || pageBytes > MAX_PAGE_BYTES || !powerOfTwo) {
    throw invalid(`pages of ${pageBytes} bytes`);
  }
  if (section !== section >>> 0) throw invalid(`section id ${section}`);
  for (const { name, lengthBytes } of blocks) {
    if (name.length === 0 || name.length > MAX_NAME_BYTES || /[^\0-\xff]/.test(name)) {
      throw invalid(`a block name of ${name.length} characters`);
    }
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 0 || lengthBytes % pageBytes !== 0) {
      throw invalid(`block ${name} of ${lengthBytes} bytes`);
    }
  }
}

function sameLayout(one: Item<"layout">, other: Item<"layout">): boolean {
  return one.pageBytes === other.pageBytes && one.section === other.section &&
    one.blocks.length === other.blocks.length &&
    one.blocks.every(({ name, lengthBytes }, index) =>
      other.blocks[index].name === name && other.blocks[index].lengthBytes === lengthBytes
    );
}

function checkPages(firstPage: number, count: number, pageCount: number): void {
  if (firstPage + count > pageCount) {
    throw invalid(`page ${firstPage + count - 1} of a block with ${pageCount}`);
  }
}

function invalid(state: string): GatewayError {
  return new GatewayError("memory_item_invalid", `Cannot write the memory stream: ${state}`, {
    hint: "Check that both gateways run the same version and that both machines have equal memory",
  });
}

function fail(state: string): never {
  throw invalid(state);
}
