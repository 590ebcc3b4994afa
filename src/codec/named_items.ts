/**
 * Pages that travel as their names: the destination has their contents already, in its store or from
 * another channel (docs/decisions/013). An item is
 *
 * ```
 * varint block, count, then for each page: signed distance from the page after the last
 * contents: the name of each page, 32 bytes
 * ```
 */
import type { MemoryItem } from "../guest/memory_items.ts";
import { getName, NAME_BYTES, nameBuffer, putName } from "../image/content_name.ts";
import { batchInvalid, ByteSink, type ByteSource } from "./bytes.ts";
import { NAMED } from "./item_kinds.ts";
import type { PageSpace } from "./page_space.ts";

/** What a source needs to name contents instead of sending them. */
export interface PageNames {
  /** True when the destination can be expected to have the content of this name. */
  mayName(name: Uint32Array): boolean;
  /** A content of the open batch travels as its name; copied, and kept until the batch is applied. */
  named(name: Uint32Array, content: Uint8Array): void;
  /** A content of the open batch travels itself. */
  carried(name: Uint32Array): void;
  /** The open batch is complete, and another one begins. */
  closeBatch(): BatchNames;
}

/** What one batch has named and carried: told once what became of the batch. */
export interface BatchNames {
  /** Its frame has this number in its channel. Batches are told of in the order of their numbers. */
  sent(sequence: number): void;
  /** It will never be sent. */
  dropped(): void;
}

/** What a destination needs to take names for contents. */
export interface NamedContents {
  /**
   * Copies the content of a name, which is compared with the whole name.
   *
   * @returns false when it is not at hand; `into` is undefined then
   */
  resolve(name: Uint32Array, into: Uint8Array): boolean;
  /** Takes note of a content that came itself; not kept. */
  arrived(content: Uint8Array): void;
}

/** A batch names contents that are not at hand. It had no effect: decode it again with them. */
export class NamesMissing extends Error {
  constructor(readonly names: readonly Uint32Array[]) {
    super(`${names.length} named contents are missing`);
  }
}

/** Writes items of named pages, in the order in which the destination applies them. */
export class NamedWriter {
  /** Pages since `clear`. */
  pageCount = 0;
  readonly #distances = new ByteSink(1024);
  readonly #nameBytes = new Uint8Array(NAME_BYTES);
  #block = -1;
  #count = 0;
  #expected = 0;

  constructor(private readonly contents: ByteSink, private readonly description: ByteSink) {}

  /** Bytes of the item that is not closed yet. */
  get openBytes(): number {
    return this.#distances.lengthBytes;
  }

  /** What follows belongs to this block. */
  begin(block: number): void {
    if (block === this.#block) return;
    this.close();
    this.#block = block;
  }

  page(index: number, name: Uint32Array): void {
    this.#distances.signed(index - this.#expected);
    this.#expected = index + 1;
    putName(name, this.#nameBytes);
    this.contents.raw(this.#nameBytes);
    this.#count++;
    this.pageCount++;
  }

  /** Ends the item, if one is open. */
  close(): void {
    if (this.#count > 0) {
      this.description.u8(NAMED);
      this.description.varint(this.#block);
      this.description.varint(this.#count);
      this.description.raw(this.#distances.view());
      this.#distances.clear();
    }
    this.#block = -1;
    this.#count = this.#expected = 0;
  }

  clear(): void {
    this.pageCount = 0;
  }
}

/**
 * Reads one item of named pages.
 *
 * @param allow refuses more pages than a batch may lead to, before they are allocated
 * @param missing gets the names that are not at hand; their pages are undefined then
 */
export function getNamedPages(
  source: ByteSource,
  contents: ByteSource,
  space: PageSpace,
  named: NamedContents | null,
  allow: (pages: number) => void,
  missing: Uint32Array[],
): Extract<MemoryItem, { kind: "pages" }> {
  const block = source.varint();
  if (block >= space.layout.blocks.length) throw batchInvalid(`there is no block ${block}`);
  const count = source.count(1, "named pages");
  if (count === 0 || count * NAME_BYTES > contents.remaining) {
    throw batchInvalid(`${count} names in ${contents.remaining} bytes`);
  }
  allow(count);
  const { pageBytes } = space;
  const pageIndexes = new Uint32Array(count);
  const bytes = new Uint8Array(count * pageBytes);
  const name = nameBuffer();
  let expected = 0;
  for (let i = 0; i < count; i++) {
    const index = expected + source.signed();
    if (index < 0 || index >= space.pagesOf(block)) {
      throw batchInvalid(`block ${block} has no page ${index}`);
    }
    pageIndexes[i] = index;
    expected = index + 1;
    getName(contents.raw(NAME_BYTES), 0, name);
    const page = bytes.subarray(i * pageBytes, (i + 1) * pageBytes);
    if (named === null) throw batchInvalid("it names contents, and none are kept here");
    if (!named.resolve(name, page)) missing.push(name.slice());
  }
  return { kind: "pages", block, pageIndexes, contents: bytes };
}
