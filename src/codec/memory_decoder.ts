import type { MemoryItem } from "../guest/memory_items.ts";
import type { PageImage } from "../image/page_image.ts";
import { batchInvalid, ByteSource } from "./bytes.ts";
import { open } from "./envelope.ts";
import {
  CHANGES,
  KEPT,
  LAYOUT,
  NAMED,
  OPAQUE,
  PAGES,
  REASON_BYTES_MAX,
  SUM,
  ZEROS,
} from "./item_kinds.ts";
import type { KnownMemory } from "./known_memory.ts";
import { getLayout, type Layout, pagesOfBlock } from "./memory_layout.ts";
import { getNamedPages, type NamedContents, NamesMissing } from "./named_items.ts";
import { PageRebuilder } from "./page_rebuilder.ts";
import { isSameLayout, PageSpace } from "./page_space.ts";

/** Decodes the batches of one channel in order; remembers layout and image from batch to batch. */
export interface MemoryDecoder {
  /** Null before the first layout. */
  readonly layout: Layout | null;
  /**
   * @returns items whose bytes are views into the batch; they stay valid as long as `payload`
   * @throws {GatewayError} `batch_invalid`, or `batch_mismatch` where a page was rebuilt wrongly;
   *   before any item is given out, and with layout and image as they were
   * @throws {NamesMissing} alike, where it names contents that are not at hand
   */
  decode(payload: Uint8Array): MemoryItem[];
  /**
   * Ends it, and gives out what it knows of the machine: the caller's from now on. Null where that is
   * nothing, or where a batch could not be applied: then something is wrong on one of the sides.
   */
  release(): KnownMemory | null;
  /** Ends it and gives the image back. Idempotent. */
  close(): void;
}

/**
 * A decoder for the batches of one `memory` channel, which it needs in their order.
 *
 * @param openImage keeps what the machine holds, for deltas and references; null: neither is taken
 * @param warm what was offered to the source, its pages waiting; the decoder's own from now on
 * @param named gives contents for names; null: none are taken
 */
export function createMemoryDecoder(
  openImage: ((pageBytes: number) => PageImage) | null = null,
  warm: KnownMemory | null = null,
  named: NamedContents | null = null,
): MemoryDecoder {
  return new Decoder(openImage, warm, named);
}

interface Memory {
  readonly layout: Layout;
  readonly space: PageSpace;
  readonly image: PageImage | null;
}

class Decoder implements MemoryDecoder {
  #memory: Memory | null = null;
  #hasFailed = false;

  constructor(
    private readonly openImage: ((pageBytes: number) => PageImage) | null,
    private warm: KnownMemory | null,
    private readonly named: NamedContents | null,
  ) {}

  get layout(): Layout | null {
    return this.#memory?.layout ?? null;
  }

  decode(payload: Uint8Array): MemoryItem[] {
    const body = open(payload);
    let memory = this.#memory;
    const whole: Uint8Array[] = [];
    const arrived = this.named && ((content: Uint8Array) => void whole.push(content));
    const missing: Uint32Array[] = [];
    let rebuilder = memory && new PageRebuilder(memory.space, memory.image, arrived);
    const contents = new ByteSource(body.contents);
    const source = new ByteSource(body.description);
    const items: MemoryItem[] = [];
    try {
      while (source.remaining > 0) {
        const kind = source.u8();
        if (kind === OPAQUE) {
          items.push(getOpaque(source));
        } else if (kind === LAYOUT) {
          const layout = getLayout(source);
          items.push(layout);
          if (memory === null || !isSameLayout(memory.layout, layout)) {
            // A stream begins with its only layout; each one opens an image.
            if (memory !== this.#memory) throw batchInvalid("a second layout");
            if (missing.length === 0) rebuilder?.check();
            this.#discard(memory);
            memory = this.#open(layout);
            rebuilder = new PageRebuilder(memory.space, memory.image, arrived);
          }
        } else if (memory === null || rebuilder === null) {
          throw batchInvalid("pages come before the layout of the memory");
        } else if (kind === PAGES) {
          const item = getPages(source, contents, memory.layout);
          rebuilder.notePages(item);
          items.push(item);
          if (arrived !== null) pagesOf(item, memory.layout.pageBytes).forEach(arrived);
        } else if (kind === NAMED) {
          const allow = rebuilder.allow.bind(rebuilder);
          const item = getNamedPages(source, contents, memory.space, this.named, allow, missing);
          rebuilder.notePages(item);
          items.push(item);
        } else if (kind === ZEROS) {
          const item = getZeros(source, memory.layout);
          rebuilder.noteZeros(item);
          items.push(item);
        } else if (kind === CHANGES) {
          rebuilder.rebuild(source, contents, (item) => items.push(item));
        } else if (kind === SUM) {
          rebuilder.verify(source);
        } else if (kind === KEPT) {
          const { block, ranges } = getZeros(source, memory.layout);
          items.push(rebuilder.takeKept(block, ranges));
        } else throw batchInvalid(`item of kind ${kind}`);
      }
      if (items.length === 0) throw batchInvalid("it is empty");
      contents.end();
      if (missing.length > 0) throw new NamesMissing(missing);
      rebuilder?.check();
    } catch (thrown) {
      // What is missing will come; nothing is wrong on either side.
      if (!(thrown instanceof NamesMissing)) this.#hasFailed = true;
      this.#discard(memory);
      throw thrown;
    }
    this.#commit(rebuilder);
    for (const content of whole) this.named?.arrived(content);
    if (memory !== this.#memory) {
      this.#memory?.image?.close();
      // The first layout decides whether what was kept is of use.
      if (this.warm !== null && this.warm.image !== memory?.image) this.warm.image.close();
      this.warm = null;
      this.#memory = memory;
    }
    return items;
  }

  #commit(rebuilder: PageRebuilder | null): void {
    try {
      rebuilder?.commit();
    } catch (thrown) {
      this.#hasFailed = true;
      throw thrown;
    }
  }

  release(): KnownMemory | null {
    const known = this.#memory ?? this.warm;
    this.#memory = this.warm = null;
    if (known === null || known.image === null) return null;
    if (!this.#hasFailed) return { layout: known.layout, image: known.image };
    known.image.close();
    return null;
  }

  close(): void {
    this.release()?.image.close();
  }

  /** A memory that a batch began and did not get to keep. */
  #discard(memory: Memory | null): void {
    if (memory !== this.#memory && memory?.image !== this.warm?.image) memory?.image?.close();
  }

  #open(layout: Layout): Memory {
    const space = new PageSpace(layout);
    if (this.warm !== null && isSameLayout(this.warm.layout, layout)) {
      return { layout, space, image: this.warm.image };
    }
    const image = space.canBeFollowed ? this.openImage?.(layout.pageBytes) ?? null : null;
    return { layout, space, image };
  }
}

type Pages = Extract<MemoryItem, { kind: "pages" }>;
type Zeros = Extract<MemoryItem, { kind: "zeros" }>;

/** Its pages, one by one. */
function pagesOf({ contents, pageIndexes }: Pages, pageBytes: number): Uint8Array[] {
  return Array.from(
    pageIndexes,
    (_, i) => contents.subarray(i * pageBytes, (i + 1) * pageBytes),
  );
}

function getPages(source: ByteSource, contents: ByteSource, layout: Layout): Pages {
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

function getZeros(source: ByteSource, layout: Layout): Zeros {
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

function getBlock(source: ByteSource, layout: Layout) {
  const block = source.varint();
  if (block >= layout.blocks.length) throw batchInvalid(`there is no block ${block}`);
  return { block, blockPages: pagesOfBlock(layout, block), pageBytes: layout.pageBytes };
}
