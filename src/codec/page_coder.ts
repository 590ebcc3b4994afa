import { Buffer } from "node:buffer";
import { ChunkedU32 } from "../image/chunked.ts";
import { nameBuffer, nameContent } from "../image/content_name.ts";
import { DigestIndex } from "../image/digest_index.ts";
import { DIGEST_WORDS } from "../image/page_digest.ts";
import { DIGEST_ONLY, HELD, PageImage, SPILLED, UNKNOWN, ZERO } from "../image/page_image.ts";
import { createDelta, type Delta, encodeDelta } from "./delta.ts";
import type { PageNames } from "./named_items.ts";
import type { Technique } from "./techniques.ts";

/** What becomes of a page: it travels as one of the first four, */
export const WHOLE = 0;
export const DELTA = 1;
export const DUPLICATE = 2;
export const ZEROS = 3;
/** not at all, because the machine there has it, */
export const UNCHANGED = 4;
/** by its number: the gateway there has it and gives it to its machine, */
export const KEPT = 5;
/** or by the name of its content: the site there has that from elsewhere. */
export const NAMED = 6;
export type PageCode = 0 | 1 | 2 | 3 | 4 | 5 | 6;

/** A longer delta is not worth it: the page goes whole (2.7 % of dirty pages of a Linux guest). */
const DELTA_SHARE_MAX = 0.7;
/** A delta as short as this is taken without a look for a duplicate, which costs a digest. */
const SHORT_DELTA_SHARE = 1 / 16;

/**
 * Decides for each page how it travels, against the image of what the destination holds, and keeps
 * that image. The order of pages is the order in which the destination will have them.
 */
export class PageCoder {
  /** Of the page coded last as `DELTA`. */
  readonly delta: Delta;
  /** Of the page coded last as `DUPLICATE`: the page that holds the same content already. */
  source = 0;
  /** Of the page coded last as `NAMED`. */
  readonly name = nameBuffer();
  readonly #digest = this.name.subarray(0, DIGEST_WORDS);
  readonly #zeroPage: Buffer;
  readonly #zeroWords: Uint32Array;
  readonly #old: Uint8Array;
  readonly #oldWords: Uint32Array;
  /** Number of each page's last write; kept only where the destination's reach ends. */
  readonly #lastWrite = new ChunkedU32();
  #writeCount = 0;

  /**
   * @param reachPages pages written last of which the destination has the content; see
   *   `PageImage.reachPages`. Pages that wait in the image (`PageImage.markWaiting`) have it, too.
   * @param index of the image, where there is one already
   * @param names contents that the destination may have from elsewhere
   */
  constructor(
    readonly image: PageImage,
    private readonly reachPages: number,
    private readonly disabled: ReadonlySet<Technique>,
    private readonly index = new DigestIndex(image),
    private readonly names: PageNames | null = null,
  ) {
    const { pageBytes, pageWords } = image;
    this.delta = createDelta(pageWords);
    this.#zeroPage = Buffer.alloc(pageBytes);
    this.#zeroWords = new Uint32Array(pageWords);
    const old = new ArrayBuffer(pageBytes);
    this.#old = new Uint8Array(old);
    this.#oldWords = new Uint32Array(old);
  }

  /** @returns `ZEROS`, or `UNCHANGED` when the destination has it so */
  codeZeros(page: number): PageCode {
    const { image } = this;
    const isThere = image.stateOf(page) === ZERO && !image.isWaiting(page);
    if (isThere && !this.disabled.has("unchanged")) return UNCHANGED;
    image.setZero(page);
    return ZEROS;
  }

  /**
   * @param content of the page
   * @param words where the same content begins at word `wordAt`
   */
  code(page: number, content: Uint8Array, words: Uint32Array, wordAt: number): PageCode {
    const { image, disabled } = this;
    const { pageBytes } = image;
    if (this.#zeroPage.equals(content)) {
      if (!disabled.has("zero")) return this.codeZeros(page);
    }
    const state = image.stateOf(page);
    const mayBeLeftOut = !disabled.has("unchanged") || image.isWaiting(page);
    let digest: Uint32Array | null = null;
    if (state === HELD) {
      if (mayBeLeftOut && image.equalsHeld(page, content)) return this.#leaveOut(page, content);
    } else if (state !== UNKNOWN && state !== ZERO) {
      digest = this.#digestOf(content);
      if (mayBeLeftOut && image.hasThisDigest(page, digest)) {
        return this.#leaveOut(page, content, digest);
      }
    }
    const deltaBytes = this.#canRefer(page, state) ? this.#encodeDelta(page, words, wordAt) : -1;
    if (deltaBytes >= 0 && deltaBytes <= pageBytes * SHORT_DELTA_SHARE) {
      this.#write(page, content, digest);
      return DELTA;
    }
    if (!disabled.has("duplicate")) {
      digest ??= this.#digestOf(content);
      const found = this.index.find(digest);
      if (found >= 0 && found !== page && this.#isSame(found, content)) {
        this.source = found;
        this.#write(page, content, digest);
        return DUPLICATE;
      }
    }
    this.#write(page, content, digest);
    if (digest === null) return deltaBytes >= 0 ? DELTA : WHOLE;
    this.index.add(page);
    // A delta that is longer than the shortest ones is longer than a name as well.
    if (!disabled.has("duplicate") && this.names?.mayName(this.name)) {
      this.names.named(this.name, content);
      return NAMED;
    }
    if (deltaBytes >= 0) return DELTA;
    this.names?.carried(this.name);
    return WHOLE;
  }

  /** True when the page is in memory with just this content; false says nothing. */
  isHeldAlike(page: number, content: Uint8Array): boolean {
    const { image } = this;
    return !this.disabled.has("unchanged") && image.stateOf(page) === HELD &&
      !image.isWaiting(page) && image.equalsHeld(page, content);
  }

  /** The destination's copy of a page is not to be relied on: it travels whole when it comes next. */
  forget(page: number): void {
    this.image.forget(page);
  }

  /** @param content the same as the gateway at the destination has */
  #leaveOut(page: number, content: Uint8Array, digest: Uint32Array | null = null): PageCode {
    const { image } = this;
    if (!image.isWaiting(page)) return UNCHANGED;
    // Now that the content is at hand: the next change of the page is a delta against it.
    if (image.stateOf(page) === DIGEST_ONLY) image.set(page, content, digest);
    else image.deliver(page);
    this.#countWrite(page);
    return KEPT;
  }

  #write(page: number, content: Uint8Array, digest: Uint32Array | null): void {
    this.image.set(page, content, digest);
    this.#countWrite(page);
  }

  #countWrite(page: number): void {
    if (this.reachPages !== Infinity) this.#lastWrite.set(page, ++this.#writeCount >>> 0);
  }

  /** The destination still has this page's content. */
  #isInReach(page: number): boolean {
    if (this.reachPages === Infinity || this.image.isWaiting(page)) return true;
    return ((this.#writeCount - this.#lastWrite.get(page)) >>> 0) < this.reachPages;
  }

  #canRefer(page: number, state: number): boolean {
    if (this.disabled.has("delta") || this.reachPages === 0) return false;
    return state === ZERO || ((state === HELD || state === SPILLED) && this.#isInReach(page));
  }

  #encodeDelta(page: number, words: Uint32Array, wordAt: number): number {
    const { image, delta } = this;
    const bytesMax = Math.floor(image.pageBytes * DELTA_SHARE_MAX);
    let old = this.#zeroWords;
    let oldAt = 0;
    const state = image.stateOf(page);
    if (state === HELD) {
      old = image.heldWords(page);
      oldAt = image.heldAt(page);
    } else if (state === SPILLED) {
      image.read(page, this.#old);
      old = this.#oldWords;
    }
    return encodeDelta(old, oldAt, words, wordAt, image.pageWords, bytesMax, delta);
  }

  /** 128 bits of SHA-256 say so already; what is at hand is compared all the same. */
  #isSame(page: number, content: Uint8Array): boolean {
    if (!this.#isInReach(page)) return false;
    return this.image.stateOf(page) !== HELD || this.image.equalsHeld(page, content);
  }

  #digestOf(content: Uint8Array): Uint32Array {
    nameContent(content, this.name);
    return this.#digest;
  }
}
