import type { MemoryItem } from "../guest/memory_items.ts";
import { NAME_BYTES } from "../image/content_name.ts";
import type { PageImage } from "../image/page_image.ts";
import {
  BATCH_HEADER_BYTES,
  BODY_BYTES_MAX,
  checkLevel,
  type OpenBatch,
  pack,
} from "./envelope.ts";
import { plainView } from "../image/plain_view.ts";
import { CHANGED_BYTES_MAX, KEPT_BYTES_MAX } from "./item_kinds.ts";
import { itemPieces } from "./item_pieces.ts";
import type { IndexedMemory, KnownMemory } from "./known_memory.ts";
import { type Bottleneck, chooseLevel } from "./level_policy.ts";
import { MemoryBatchWriter } from "./memory_batch.ts";
import { type Layout, PAGE_BYTES_MAX } from "./memory_layout.ts";
import type { BatchNames, PageNames } from "./named_items.ts";
import { DELTA, DUPLICATE, KEPT, NAMED, PageCoder, UNCHANGED, ZEROS } from "./page_coder.ts";
import { ZEROS_BEFORE_REFERENCES_MAX } from "./page_rebuilder.ts";
import { isSameLayout, PageSpace } from "./page_space.ts";
import { type EncoderTotals, noTotals, type Technique } from "./techniques.ts";

/** Raw bytes of a batch: large enough for zstd, short enough (tens of ms) on a slow link. */
export const MEMORY_BATCH_BYTES = 256 * 1024;

/** What an encoder needs to send less than whole pages. */
export interface PageMemory {
  /** Keeps what the destination holds. */
  openImage(pageBytes: number): PageImage;
  /** Of the destination's image, as it said: see `PageImage.reachPages`. */
  reachPages(pageBytes: number): number;
  /** Contents that the destination may have from elsewhere; null or absent: none. */
  names?(pageBytes: number): PageNames | null;
}

export interface MemoryEncoderOptions {
  /** A batch is full at so many bytes before compression. */
  readonly targetBytes?: number;
  /** One zstd level for all batches; else it is chosen for each (`level_policy.ts`). */
  readonly level?: number;
  /** Null: every page travels whole, in the form that any decoder takes. */
  readonly memory?: PageMemory | null;
  /**
   * What the destination has offered, its pages waiting; the encoder's own from now on. Used where
   * the stream's layout is the same.
   */
  readonly warm?: IndexedMemory | null;
  /** Techniques not to use. */
  readonly disable?: readonly Technique[];
}

/**
 * Turns a stream of memory items into batches of about equal size. What it knows of the destination
 * holds only if every batch is sent, in order, on one channel; it outlives the stream that it began
 * with, because the destination's memory does.
 */
export interface MemoryEncoder {
  /** For the choice of compression, from now on. */
  bottleneck: Bottleneck;
  readonly totals: EncoderTotals;
  /**
   * Takes items, copying their bytes; gives each batch that became full. The body of a batch is valid
   * until the next one is asked for. All must be asked for, and `packed` told of each.
   */
  addOpen(items: Iterable<MemoryItem>): Generator<OpenBatch>;
  /** Gives what is left, if anything. */
  flushOpen(): Generator<OpenBatch>;
  /** A batch of so many bytes before compression became this payload. */
  packed(bodyBytes: number, payloadBytes: number): void;
  /** `addOpen`, with each batch packed at once. */
  add(items: Iterable<MemoryItem>): Generator<Uint8Array>;
  /** `flushOpen`, packed at once. */
  flush(): Generator<Uint8Array>;
  /**
   * Leaves out a page that the destination has with this content already. Looks only at what is in
   * memory here: false means that `add` decides.
   */
  skipUnchanged(block: number, index: number, content: Uint8Array): boolean;
  /**
   * The oldest batch that this was not told of has its place in the channel: its frame has this
   * sequence number. Once for each batch.
   *
   * @returns what it changes or refers to
   */
  numbered(sequence: number): PageRanges;
  /** Pages that the destination has not got right: they travel whole when they come next. */
  forget(ranges: PageRanges): void;
  /**
   * Ends it, and gives out what it knows of the destination: the caller's from now on. Null where
   * that is nothing.
   */
  release(): KnownMemory | null;
  /** Ends it and gives the image back. Idempotent. */
  close(): void;
}

/** An encoder with nothing in it. @throws {RangeError} for a target or level out of range */
export function createMemoryEncoder(options: MemoryEncoderOptions = {}): MemoryEncoder {
  const { targetBytes = MEMORY_BATCH_BYTES, level } = options;
  // Half of the limit, so that indexes and the last item beyond the target fit as well.
  if (!(targetBytes >= PAGE_BYTES_MAX && targetBytes <= BODY_BYTES_MAX / 2)) {
    throw new RangeError(`targetBytes must be ${PAGE_BYTES_MAX} to ${BODY_BYTES_MAX / 2}`);
  }
  if (level !== undefined) checkLevel(level);
  return new Encoder(targetBytes, level ?? null, options);
}

/** Pages by their number in the `PageSpace`: first page, number of pages, and so on. */
export type PageRanges = readonly number[] | Uint32Array;

type Pages = Extract<MemoryItem, { kind: "pages" }>;
type Zeros = Extract<MemoryItem, { kind: "zeros" }>;

class Encoder implements MemoryEncoder {
  bottleneck: Bottleneck = "link";
  readonly totals = noTotals();
  readonly #disabled: ReadonlySet<Technique>;
  readonly #memory: PageMemory | null;
  readonly #writer: MemoryBatchWriter;
  #warm: IndexedMemory | null;
  #space: PageSpace | null = null;
  #coder: PageCoder | null = null;
  #names: PageNames | null = null;
  #zeroPage = new Uint8Array(0);
  /** Of the open batch: what it carries before compression, and how. */
  #carriedBytes = 0;
  #deltaPages = 0;
  #zeroPages = 0;
  #touched: number[] = [];
  readonly #unnumbered: { readonly touched: PageRanges; readonly names: BatchNames | null }[] = [];

  constructor(
    private readonly targetBytes: number,
    private readonly level: number | null,
    { memory = null, warm = null, disable = [] }: MemoryEncoderOptions,
  ) {
    this.#memory = memory;
    this.#warm = warm;
    this.#disabled = new Set(disable);
    this.#writer = new MemoryBatchWriter(targetBytes + PAGE_BYTES_MAX);
  }

  *add(items: Iterable<MemoryItem>): Generator<Uint8Array> {
    for (const batch of this.addOpen(items)) yield this.#pack(batch);
  }

  *flush(): Generator<Uint8Array> {
    for (const batch of this.flushOpen()) yield this.#pack(batch);
  }

  *addOpen(items: Iterable<MemoryItem>): Generator<OpenBatch> {
    for (const item of items) {
      if (item.kind === "layout") this.#adopt(item);
      if (item.kind === "pages") yield* this.#addPages(item);
      else if (item.kind === "zeros") yield* this.#addZeros(item);
      else yield* this.#put(item);
    }
  }

  *flushOpen(): Generator<OpenBatch> {
    const batch = this.#writer.take(this.#levelOfBatch());
    if (batch === null) return;
    // Counted as raw until it is packed: offered, sent and saved bytes agree at any time, and who
    // forecasts from them while batches are under way expects too much rather than too little.
    const rawBytes = BATCH_HEADER_BYTES + batch.body.byteLength;
    this.totals.payloadBytes += rawBytes;
    this.totals.saved.compression += this.#carriedBytes - rawBytes;
    this.#carriedBytes = this.#deltaPages = this.#zeroPages = 0;
    // Thousands of these wait for the peer: an array of numbers would take two to three times as much.
    const touched = Uint32Array.from(this.#touched);
    this.#unnumbered.push({ touched, names: this.#names?.closeBatch() ?? null });
    this.#touched = [];
    yield batch;
  }

  packed(bodyBytes: number, payloadBytes: number): void {
    const savedBytes = BATCH_HEADER_BYTES + bodyBytes - payloadBytes;
    this.totals.payloadBytes -= savedBytes;
    this.totals.saved.compression += savedBytes;
  }

  #pack(batch: OpenBatch): Uint8Array {
    const payload = pack(batch);
    this.packed(batch.body.byteLength, payload.byteLength);
    return payload;
  }

  skipUnchanged(block: number, index: number, content: Uint8Array): boolean {
    if (this.#coder === null || this.#space === null) return false;
    if (!this.#coder.isHeldAlike(this.#space.firstOf(block) + index, content)) return false;
    this.totals.offeredBytes += this.#space.pageBytes;
    this.totals.saved.unchanged += this.#space.pageBytes;
    return true;
  }

  numbered(sequence: number): PageRanges {
    const batch = this.#unnumbered.shift();
    batch?.names?.sent(sequence);
    return batch?.touched ?? [];
  }

  forget(ranges: PageRanges): void {
    if (this.#coder === null || this.#space === null) return;
    for (let i = 0; i < ranges.length; i += 2) {
      // Ranges may be those of an earlier layout, whose image is gone.
      const end = Math.min(ranges[i] + ranges[i + 1], this.#space.pageCount);
      for (let page = ranges[i]; page < end; page++) this.#coder.forget(page);
    }
  }

  release(): KnownMemory | null {
    const image = this.#coder?.image;
    this.#coder = null;
    if (image !== undefined) return { layout: this.#space!.layout, image };
    const warm = this.#warm;
    this.#warm = null;
    return warm;
  }

  close(): void {
    this.release()?.image.close();
  }

  #adopt(layout: Layout): void {
    if (this.#space !== null && isSameLayout(this.#space.layout, layout)) return;
    this.#space = new PageSpace(layout);
    this.#zeroPage = new Uint8Array(layout.pageBytes);
    this.#coder?.image.close();
    this.#coder = this.#names = null;
    const warm = this.#takeWarm(layout);
    if (this.#memory === null || !this.#space.canBeFollowed) {
      warm?.image.close();
      return;
    }
    const { pageBytes } = layout;
    this.#names = this.#memory.names?.(pageBytes) ?? null;
    const reachPages = this.#memory.reachPages(pageBytes);
    const image = warm?.image ?? this.#memory.openImage(pageBytes);
    this.#coder = new PageCoder(image, reachPages, this.#disabled, warm?.index, this.#names);
  }

  /** Null where nothing was offered for this layout; an offer for another one is worth nothing. */
  #takeWarm(layout: Layout): IndexedMemory | null {
    const warm = this.#warm;
    this.#warm = null;
    if (warm === null || isSameLayout(warm.layout, layout)) return warm;
    warm.image.close();
    return null;
  }

  *#addPages(item: Pages): Generator<OpenBatch> {
    if (this.#coder === null || this.#space === null) return yield* this.#put(item);
    const { block, pageIndexes } = item;
    const { pageBytes } = this.#space;
    if (item.contents.byteLength !== pageIndexes.length * pageBytes) {
      throw new TypeError(
        `${pageIndexes.length} pages come with ${item.contents.byteLength} bytes`,
      );
    }
    const contents = aligned(item.contents);
    const words = new Uint32Array(
      contents.buffer,
      contents.byteOffset,
      contents.byteLength / 4,
    );
    for (let i = 0; i < pageIndexes.length; i++) {
      const index = pageIndexes[i];
      if (index >= this.#space.pagesOf(block)) {
        throw new TypeError(`Block ${block} has no page ${index}`);
      }
      if (this.#isFull()) yield* this.flushOpen();
      this.#addPage(this.#coder, block, index, contents, i, words);
    }
  }

  #addPage(
    coder: PageCoder,
    block: number,
    index: number,
    contents: Uint8Array,
    place: number,
    words: Uint32Array,
  ): void {
    const { pageBytes } = this.#space!;
    const { totals } = this;
    const { saved } = totals;
    const at = place * pageBytes;
    totals.offeredBytes += pageBytes;
    const page = this.#space!.firstOf(block) + index;
    const content = contents.subarray(at, at + pageBytes);
    const code = coder.code(page, content, words, at / 4);
    if (code === UNCHANGED) {
      saved.unchanged += pageBytes;
      return;
    }
    appendPage(this.#touched, page);
    if (code === KEPT) {
      this.#writer.kept(block, index);
      saved.warm += pageBytes;
      return;
    }
    if (code === NAMED) {
      this.#writer.named(block).page(index, coder.name);
      saved.duplicate += pageBytes - NAME_BYTES;
      this.#carriedBytes += NAME_BYTES;
      return;
    }
    const changes = this.#writer.changes(block);
    if (code === ZEROS) {
      changes.zeros(index);
      saved.zero += pageBytes;
      this.#zeroPages++;
      return;
    }
    this.#writer.sum.add(words, at / 4, pageBytes / 4);
    if (code === DUPLICATE) {
      changes.duplicate(index, coder.source);
      // Where this comes out wrong the destination may have the other page wrong.
      appendPage(this.#touched, coder.source);
      saved.duplicate += pageBytes;
    } else if (code === DELTA) {
      const before = this.#writer.bodyBytes;
      changes.delta(index, coder.delta);
      const deltaBytes = this.#writer.bodyBytes - before;
      saved.delta += pageBytes - deltaBytes;
      this.#carriedBytes += deltaBytes;
      this.#deltaPages++;
    } else {
      changes.whole(index, content);
      this.#carriedBytes += pageBytes;
    }
  }

  *#addZeros(item: Zeros): Generator<OpenBatch> {
    if (this.#disabled.has("zero")) return yield* this.#addZerosWhole(item);
    const pageBytes = this.#space?.pageBytes ?? 0;
    const ranges = this.#coder === null ? item.ranges : this.#changedRanges(this.#coder, item);
    for (let i = 1; i < ranges.length; i += 2) {
      this.totals.offeredBytes += ranges[i] * pageBytes;
      this.totals.saved.zero += ranges[i] * pageBytes;
      this.#zeroPages += ranges[i];
    }
    yield* this.#put({ ...item, ranges });
  }

  /** The ranges without the pages that are zero at the destination already. */
  #changedRanges(coder: PageCoder, { block, ranges }: Zeros): Uint32Array {
    const { pageBytes } = this.#space!;
    const first = this.#space!.firstOf(block);
    const changed: number[] = [];
    for (let i = 0; i < ranges.length; i += 2) {
      const end = ranges[i] + ranges[i + 1];
      if (end > this.#space!.pagesOf(block)) {
        throw new TypeError(`Block ${block} ends before ${end}`);
      }
      for (let index = ranges[i]; index < end; index++) {
        if (coder.codeZeros(first + index) === UNCHANGED) {
          this.totals.offeredBytes += pageBytes;
          this.totals.saved.unchanged += pageBytes;
        } else {
          appendPage(changed, index);
          appendPage(this.#touched, first + index);
        }
      }
    }
    return Uint32Array.from(changed);
  }

  *#addZerosWhole({ block, ranges }: Zeros): Generator<OpenBatch> {
    for (let i = 0; i < ranges.length; i += 2) {
      for (let index = ranges[i]; index < ranges[i] + ranges[i + 1]; index++) {
        const pageIndexes = Uint32Array.of(index);
        yield* this.#addPages({ kind: "pages", block, pageIndexes, contents: this.#zeroPage });
      }
    }
  }

  *#put(item: MemoryItem): Generator<OpenBatch> {
    const pageBytes = this.#space?.pageBytes ?? PAGE_BYTES_MAX;
    for (const piece of itemPieces(item, pageBytes, () => this.#roomBytes())) {
      this.#writer.put(piece);
      const bytes = piece.kind === "pages"
        ? piece.contents.byteLength
        : piece.kind === "opaque"
        ? piece.bytes.byteLength
        : 0;
      this.totals.offeredBytes += bytes;
      this.#carriedBytes += bytes;
      if (this.#isFull()) yield* this.flushOpen();
    }
  }

  #isFull(): boolean {
    const pageBytes = this.#space?.pageBytes ?? PAGE_BYTES_MAX;
    return this.#writer.bodyBytes >= this.targetBytes ||
      (this.#writer.changedPages + 1) * pageBytes > CHANGED_BYTES_MAX ||
      (this.#writer.keptPages + 1) * pageBytes > KEPT_BYTES_MAX ||
      this.#zeroPages > ZEROS_BEFORE_REFERENCES_MAX;
  }

  #roomBytes(): number {
    return this.targetBytes - this.#writer.bodyBytes;
  }

  #levelOfBatch(): number | null {
    if (this.#disabled.has("compression")) return null;
    if (this.level !== null) return this.level;
    return chooseLevel({
      contents: this.#writer.contents,
      bodyBytes: this.#writer.bodyBytes,
      deltaShare: this.#deltaPages / Math.max(1, this.#writer.changedPages),
      bottleneck: this.bottleneck,
    });
  }
}

/** Adds one page behind the others; neighbours become one range. */
function appendPage(ranges: number[], page: number): void {
  const last = ranges.length - 2;
  if (last >= 0 && ranges[last] + ranges[last + 1] === page) ranges[last + 1]++;
  else ranges.push(page, 1);
}

/** The same bytes at an address where they can be read as words. */
function aligned(contents: Uint8Array): Uint8Array {
  return contents.byteOffset % 4 === 0 ? plainView(contents) : new Uint8Array(contents);
}
