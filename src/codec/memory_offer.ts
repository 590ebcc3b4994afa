/**
 * What a gateway has of a machine's memory from before, told to the source; payload of `memoryOffer`
 * frames, in the order of the pages of all blocks (`page_space.ts`):
 *
 * ```
 *  0  u8      version 1
 *  1  u8      1 in the last frame, else 0
 *  2  varint  number of the first page: the one after the last page of the frame before
 *     then runs to the end: varint 4 * pages + what they are
 *       0 unknown
 *       1 zero
 *       2 kept    then for each page 16 bytes: SHA-256 of its content, cut to 128 bits
 * ```
 *
 * All frames together tell of every page once.
 */
import { DIGEST_WORDS } from "../image/page_digest.ts";
import { HELD, type PageImage, SPILLED, ZERO } from "../image/page_image.ts";
import { batchInvalid, ByteSink, ByteSource } from "./bytes.ts";

const VERSION = 1;
const UNKNOWN_RUN = 0;
const ZERO_RUN = 1;
const KEPT_RUN = 2;
const DIGEST_BYTES = 4 * DIGEST_WORDS;
/** Digests of one frame: those that must be computed take 4 µs each, and others wait meanwhile. */
const FRAME_DIGESTS_MAX = 4_096;
/** Pages that one frame tells of, for the same reason: unknown ones take some ns each. */
const FRAME_PAGES_MAX = 2 ** 20;

/** Makes the frames one after the other, and marks each page of the image that it offers as waiting. */
export class MemoryOfferWriter {
  #page = 0;
  #isComplete = false;

  constructor(private readonly image: PageImage, private readonly pageCount: number) {}

  /** True once `next` has given the last frame. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  next(): Uint8Array {
    const { image, pageCount } = this;
    const first = this.#page;
    const endMax = Math.min(pageCount, first + FRAME_PAGES_MAX);
    const runs = new ByteSink(4096);
    for (let digests = 0; this.#page < endMax && digests < FRAME_DIGESTS_MAX;) {
      const from = this.#page;
      const what = this.#whatOf(from);
      const most = what === KEPT_RUN ? from + FRAME_DIGESTS_MAX - digests : endMax;
      let end = from + 1;
      while (end < endMax && end < most && this.#whatOf(end) === what) end++;
      runs.varint(4 * (end - from) + what);
      for (let page = from; page < end; page++) {
        if (what === UNKNOWN_RUN) image.forget(page);
        else image.markWaiting(page);
        if (what === KEPT_RUN) this.#putDigest(runs, page);
      }
      if (what === KEPT_RUN) digests += end - from;
      this.#page = end;
    }
    this.#isComplete = this.#page === pageCount;
    const frame = new ByteSink(16 + runs.lengthBytes);
    frame.u8(VERSION);
    frame.u8(this.#isComplete ? 1 : 0);
    frame.varint(first);
    frame.raw(runs.view());
    return new Uint8Array(frame.view());
  }

  /** Only what can be given out is offered: a digest alone is of no use here. */
  #whatOf(page: number): number {
    const state = this.image.stateOf(page);
    if (state === ZERO) return ZERO_RUN;
    return state === HELD || state === SPILLED ? KEPT_RUN : UNKNOWN_RUN;
  }

  #putDigest(into: ByteSink, page: number): void {
    this.image.ensureDigest(page);
    for (let word = 0; word < DIGEST_WORDS; word++) {
      const value = this.image.digestWord(page, word);
      into.u8(value >>> 24);
      into.u8(value >>> 16);
      into.u8(value >>> 8);
      into.u8(value);
    }
  }
}

/** Takes what an offer says, page by page, in order. */
export interface OfferSink {
  unknown(firstPage: number, pageCount: number): void;
  zeros(firstPage: number, pageCount: number): void;
  /** @param digest the reader's own, until the next call */
  kept(page: number, digest: Uint32Array): void;
}

/** Reads the frames of one offer, in order. */
export class MemoryOfferReader {
  #page = 0;
  #isComplete = false;
  readonly #digest = new Uint32Array(DIGEST_WORDS);

  constructor(private readonly pageCount: number, private readonly sink: OfferSink) {}

  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** @throws {GatewayError} `batch_invalid`; the sink may have been told of a part of the frame */
  read(payload: Uint8Array): void {
    if (this.#isComplete) throw batchInvalid("an offer of memory goes on after its end");
    const source = new ByteSource(payload);
    const version = source.u8();
    if (version !== VERSION) throw batchInvalid(`an offer of version ${version}`);
    const last = source.u8();
    if (last > 1) throw batchInvalid("a reserved bit is set");
    const first = source.varint();
    if (first !== this.#page) {
      throw batchInvalid(`an offer goes on with page ${first} instead of ${this.#page}`);
    }
    while (source.remaining > 0) this.#run(source);
    this.#isComplete = last === 1;
    if (this.#isComplete && this.#page !== this.pageCount) {
      throw batchInvalid(`an offer ends after ${this.#page} of ${this.pageCount} pages`);
    }
  }

  #run(source: ByteSource): void {
    const code = source.varint();
    const what = code % 4;
    const count = Math.floor(code / 4);
    const first = this.#page;
    if (count === 0 || first + count > this.pageCount) {
      throw batchInvalid(`an offer of pages ${first} + ${count}, there are ${this.pageCount}`);
    }
    if (what === UNKNOWN_RUN) this.sink.unknown(first, count);
    else if (what === ZERO_RUN) this.sink.zeros(first, count);
    else if (what === KEPT_RUN) {
      const digests = source.raw(count * DIGEST_BYTES);
      const view = new DataView(digests.buffer, digests.byteOffset, digests.byteLength);
      for (let i = 0; i < count; i++) {
        for (let word = 0; word < DIGEST_WORDS; word++) {
          this.#digest[word] = view.getUint32(i * DIGEST_BYTES + 4 * word);
        }
        this.sink.kept(first + i, this.#digest);
      }
    } else throw batchInvalid(`an offer of kind ${what}`);
    this.#page = first + count;
  }
}
