import type { MemoryItem } from "../guest/memory_items.ts";
import { GatewayError } from "../core/errors.ts";
import { digestBuffer } from "../image/digest_index.ts";
import { digestPage } from "../image/page_digest.ts";
import { type PageImage, ZERO } from "../image/page_image.ts";
import { batchInvalid, type ByteSource } from "./bytes.ts";
import { applyDelta } from "./delta.ts";
import { CHANGED_BYTES_MAX, KEPT_BYTES_MAX } from "./item_kinds.ts";
import { DELTA, DUPLICATE, WHOLE } from "./page_coder.ts";
import type { PageSpace } from "./page_space.ts";
import { PageSum } from "./page_sum.ts";

/**
 * Zero pages in ranges of a batch behind which changes may still refer to pages. Each is looked at
 * one by one then; a range alone may be as long as the memory.
 */
export const ZEROS_BEFORE_REFERENCES_MAX = 16_384;

/**
 * So many times may one batch set all of the memory to zero. An encoder names a page again only after
 * something else; a range of seven bytes stands for as much work as the machine has pages.
 */
const ZEROED_TIMES_MAX = 4;

/** What a batch does to one page: content at `at` of `bytes`. */
interface Content {
  readonly page: number;
  readonly bytes: Uint8Array;
  readonly at: number;
}
/** Or zeros to one or more. */
interface Zeros {
  readonly page: number;
  readonly bytes: null;
  readonly count: number;
}
/** Or gives it to the machine as it is in the image. */
interface Kept {
  readonly page: number;
}
type Write = Content | Zeros | Kept;

/**
 * Rebuilds the changed pages of one batch (`change_items.ts`). The image is read and left alone until
 * `commit`, so that a batch that turns out wrong leaves no trace.
 */
export class PageRebuilder {
  readonly #sum = new PageSum();
  #verified: boolean | null = null;
  #hasChanges = false;
  #changedBytes = 0;
  #zeroPages = 0;
  readonly #writes: Write[] = [];
  /** Pages that this batch gives to the machine out of the image. */
  readonly #kept = new Set<number>();
  readonly #digest = digestBuffer();
  /** The last write to each page in this batch. */
  readonly #latest = new Map<number, Content | Zeros>();

  /** @param arrived takes note of each page that came whole; told when the batch has no fault */
  constructor(
    private readonly space: PageSpace,
    private readonly image: PageImage | null,
    private readonly arrived: ((content: Uint8Array) => void) | null = null,
  ) {}

  /** @throws {GatewayError} `batch_invalid` when the batch leads to more pages than one may */
  allow(pages: number): void {
    this.#changedBytes += pages * this.space.pageBytes;
    if (this.#changedBytes <= CHANGED_BYTES_MAX) return;
    throw batchInvalid(`changes of ${this.#changedBytes} bytes`);
  }

  notePages({ block, pageIndexes, contents }: Extract<MemoryItem, { kind: "pages" }>): void {
    this.#refuseAfterSum();
    if (this.image === null) return;
    const first = this.space.firstOf(block);
    for (let i = 0; i < pageIndexes.length; i++) {
      this.#write({
        page: first + pageIndexes[i],
        bytes: contents,
        at: i * this.space.pageBytes,
      });
    }
  }

  noteZeros({ block, ranges }: Extract<MemoryItem, { kind: "zeros" }>): void {
    this.#refuseAfterSum();
    if (this.image === null) return;
    const first = this.space.firstOf(block);
    for (let i = 0; i < ranges.length; i += 2) {
      this.#writeZeros({ page: first + ranges[i], bytes: null, count: ranges[i + 1] });
    }
  }

  /** @param emit takes the items that one item of changes amounts to */
  rebuild(source: ByteSource, contents: ByteSource, emit: (item: MemoryItem) => void): void {
    this.#refuseAfterSum();
    this.#hasChanges = true;
    const { space } = this;
    const { pageBytes } = space;
    const block = source.varint();
    if (block >= space.layout.blocks.length) throw batchInvalid(`there is no block ${block}`);
    const count = source.count(1, "changes");
    if (count === 0) throw batchInvalid("changes of no page");
    this.allow(count);
    const blockPages = space.pagesOf(block);
    const first = space.firstOf(block);
    const bytes = new Uint8Array(count * pageBytes);
    const words = new Uint32Array(bytes.buffer);
    const run = new ItemRun(block, bytes, pageBytes, emit);
    let expected = 0;
    let expectedSource = 0;
    for (let i = 0; i < count; i++) {
      const code = source.varint();
      const what = code % 4;
      const zigzag = Math.floor(code / 4);
      const index = expected + (zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2);
      if (index < 0 || index >= blockPages) {
        throw batchInvalid(`block ${block} has no page ${index}`);
      }
      expected = index + 1;
      const page = first + index;
      const at = run.endBytes;
      if (what === WHOLE) {
        bytes.set(contents.raw(pageBytes), at);
        this.arrived?.(bytes.subarray(at, at + pageBytes));
      } else if (what === DELTA) {
        this.#copy(page, bytes, at);
        this.#applyDelta(words, at, source, contents);
      } else if (what === DUPLICATE) {
        const from = expectedSource + source.signed();
        if (from < 0 || from >= space.pageCount) throw batchInvalid(`there is no page ${from}`);
        expectedSource = from + 1;
        this.#copy(from, bytes, at);
      } else {
        this.#writeZeros({ page, bytes: null, count: 1 });
        run.zeros(index);
        continue;
      }
      this.#sum.add(words, at / 4, pageBytes / 4);
      this.#write({ page, bytes, at });
      run.page(index);
    }
    run.close();
  }

  /**
   * Pages that were offered to the source and have not been given to the machine yet. Each is what it
   * was when it was offered, or it is not given out.
   *
   * @param ranges of the block, within it
   */
  takeKept(block: number, ranges: Uint32Array): MemoryItem {
    this.#refuseAfterSum();
    const { pageBytes } = this.space;
    let count = 0;
    for (let i = 1; i < ranges.length; i += 2) count += ranges[i];
    if ((this.#kept.size + count) * pageBytes > KEPT_BYTES_MAX) {
      throw batchInvalid(`${this.#kept.size + count} kept pages of ${pageBytes} bytes`);
    }
    const contents = new Uint8Array(count * pageBytes);
    const pageIndexes = new Uint32Array(count);
    let at = 0;
    for (let i = 0; i < ranges.length; i += 2) {
      for (let index = ranges[i]; index < ranges[i] + ranges[i + 1]; index++, at++) {
        pageIndexes[at] = index;
        const into = contents.subarray(at * pageBytes, (at + 1) * pageBytes);
        this.#readKept(this.space.firstOf(block) + index, into);
      }
    }
    return { kind: "pages", block, pageIndexes, contents };
  }

  /** The sum that ends the changes of a batch. */
  verify(source: ByteSource): void {
    if (!this.#hasChanges) throw batchInvalid("a sum of no changes");
    this.#refuseAfterSum();
    this.#verified = this.#sum.isNextIn(source);
  }

  /** @throws {GatewayError} `batch_mismatch` when pages were rebuilt to something else than meant */
  check(): void {
    if (!this.#hasChanges || this.#verified === true) return;
    if (this.#verified === null) throw batchInvalid("its changes have no sum");
    throw new GatewayError(
      "batch_mismatch",
      "Cannot apply a batch: its pages were rebuilt to other contents than the source had",
      { hint: "Start the move again; the machine runs at the source. This is a defect: report it" },
    );
  }

  #readKept(page: number, into: Uint8Array): void {
    const { image } = this;
    if (image === null || !image.isWaiting(page) || image.stateOf(page) === ZERO) {
      throw batchInvalid(`page ${page} was not offered, or is no longer as it was`);
    }
    // What this batch has done to the page so far counts, and is not in the image yet.
    if (this.#kept.has(page) || this.#latest.has(page) || this.#hasManyZeros) {
      throw batchInvalid(`page ${page} is taken from what was kept after it was changed`);
    }
    if (!image.read(page, into)) throw batchInvalid(`page ${page} is not kept here`);
    digestPage(into, this.#digest);
    if (!image.hasThisDigest(page, this.#digest)) {
      throw new GatewayError(
        "batch_mismatch",
        `Cannot apply a batch: page ${page} is not what was kept of it`,
        { hint: "Start the move again; the machine runs at the source. Check the state directory" },
      );
    }
    this.#kept.add(page);
    this.#writes.push({ page });
  }

  /** Makes the batch part of the image. */
  commit(): void {
    if (this.image === null) return;
    // Strictly in their order: it decides what an image without a spill still has.
    for (const write of this.#writes) {
      if ("at" in write) {
        const { bytes, at } = write;
        this.image.set(write.page, bytes.subarray(at, at + this.space.pageBytes));
      } else if ("count" in write) {
        this.image.setZeros(write.page, write.count);
      } else this.image.deliver(write.page);
    }
  }

  #writeZeros(write: Zeros): void {
    if (this.image === null) return;
    this.#writes.push(write);
    this.#zeroPages += write.count;
    const most = ZEROED_TIMES_MAX * this.space.pageCount + ZEROS_BEFORE_REFERENCES_MAX;
    if (this.#zeroPages > most) throw batchInvalid(`${this.#zeroPages} zero pages`);
    if (this.#hasManyZeros) return;
    for (let i = 0; i < write.count; i++) this.#latest.set(write.page + i, write);
  }

  #write(write: Content): void {
    if (this.image === null) return;
    this.#writes.push(write);
    this.#latest.set(write.page, write);
  }

  /** The page as the destination has it at this point. */
  #copy(page: number, into: Uint8Array, at: number): void {
    const { pageBytes } = this.space;
    if (this.#hasManyZeros) {
      throw batchInvalid(`it refers to pages behind ${this.#zeroPages} zero ones`);
    }
    const latest = this.#latest.get(page);
    if (latest === undefined) {
      const isThere = this.image?.read(page, into.subarray(at, at + pageBytes)) ?? false;
      if (!isThere) throw batchInvalid(`it refers to page ${page}, which is not kept here`);
    } else if (latest.bytes === null) into.fill(0, at, at + pageBytes);
    else into.set(latest.bytes.subarray(latest.at, latest.at + pageBytes), at);
  }

  #applyDelta(words: Uint32Array, at: number, source: ByteSource, contents: ByteSource): void {
    const rest = contents.rest();
    // Views of words need an address that is a multiple of four; a raw batch may lie anywhere.
    const aligned = rest.byteOffset % 4 === 0
      ? rest
      : new Uint8Array(rest.subarray(0, this.space.pageBytes));
    const available = new Uint32Array(
      aligned.buffer,
      aligned.byteOffset,
      Math.floor(aligned.byteLength / 4),
    );
    const { pageBytes } = this.space;
    contents.raw(4 * applyDelta(words, at / 4, pageBytes / 4, source, available, 0));
  }

  /** Not every page that the batch has written is in `#latest`. */
  get #hasManyZeros(): boolean {
    return this.#zeroPages > ZEROS_BEFORE_REFERENCES_MAX;
  }

  #refuseAfterSum(): void {
    if (this.#verified !== null) throw batchInvalid("pages follow its sum");
  }
}

/** Cuts rebuilt pages into items: contents back to back, zeros as ranges. */
class ItemRun {
  /** Contents so far. */
  endBytes = 0;
  #startBytes = 0;
  #indexes: number[] = [];
  #ranges: number[] = [];

  constructor(
    private readonly block: number,
    private readonly bytes: Uint8Array,
    private readonly pageBytes: number,
    private readonly emit: (item: MemoryItem) => void,
  ) {}

  page(index: number): void {
    if (this.#ranges.length > 0) this.close();
    this.#indexes.push(index);
    this.endBytes += this.pageBytes;
  }

  zeros(index: number): void {
    if (this.#indexes.length > 0) this.close();
    const last = this.#ranges.length - 2;
    if (last >= 0 && this.#ranges[last] + this.#ranges[last + 1] === index) {
      this.#ranges[last + 1]++;
    } else this.#ranges.push(index, 1);
  }

  close(): void {
    const { block, bytes } = this;
    if (this.#indexes.length > 0) {
      const contents = bytes.subarray(this.#startBytes, this.endBytes);
      this.emit({ kind: "pages", block, pageIndexes: Uint32Array.from(this.#indexes), contents });
    }
    if (this.#ranges.length > 0) {
      this.emit({ kind: "zeros", block, ranges: Uint32Array.from(this.#ranges) });
    }
    this.#startBytes = this.endBytes;
    this.#indexes = [];
    this.#ranges = [];
  }
}
