import { mix } from "./mix.ts";
import { PAGE_WORDS } from "./units.ts";

/** Seed and shares of the initial content; what is neither text nor random is zero. */
export interface ContentRatios {
  readonly seed: number;
  readonly textRatio: number;
  readonly randomRatio: number;
}

/** Where a page lives: the memory, or a disk by its number. */
export const MEMORY_SPACE = 0;
export const diskSpace = (disk: number): number => 1 + disk;

const STAMPS = 8;
const STAMP_STRIDE_WORDS = PAGE_WORDS / STAMPS;
/** Initial content comes in runs of pages of one kind, as in a real machine. */
const RUN_PAGES_LOG2 = 4;
/** Versions this near share their base, so that a rewrite mostly changes its stamps only. */
const GENERATION_LOG2 = 14;
/** Share of the rewrites that clear a page. */
const CLEARING_RATIO = 0.02;

type Kind = "zero" | "text" | "random";

/**
 * What every page and disk block holds, as a pure function of (seed, space, index, version).
 *
 * Version 0 is the initial content; later versions are the serial numbers of the writes. A page
 * that is not zero carries one stamp in each eighth of it (512 bytes), and each stamp depends on
 * place and version: an older version, a page of another place and a page torn between two versions
 * all differ from what is expected.
 */
export class PageContent {
  readonly #seed: number;
  readonly #textRatio: number;
  readonly #randomRatio: number;
  readonly #words: Uint32Array;

  constructor({ seed, textRatio, randomRatio }: ContentRatios) {
    this.#seed = mix(seed, Math.floor(seed / 2 ** 32), 0, 0);
    this.#textRatio = textRatio;
    this.#randomRatio = randomRatio;
    this.#words = vocabulary(this.#seed);
  }

  isZero(space: number, index: number, version: number): boolean {
    return this.#kind(space, index, version) === "zero";
  }

  /** Writes the page into `into` from word `at` on; every one of its words is stored. */
  write(space: number, index: number, version: number, into: Uint32Array, at: number): void {
    const kind = this.#kind(space, index, version);
    if (kind === "zero") {
      into.fill(0, at, at + PAGE_WORDS);
      return;
    }
    const start = mix(this.#seed ^ 0x51ed270b, space, index, version >>> GENERATION_LOG2);
    if (kind === "text") this.#writeText(start, into, at);
    else writeRandom(start, into, at);
    for (let stamp = 0; stamp < STAMPS; stamp++) {
      into[at + this.#stampWord(space, index, stamp)] = this.#stamp(space, index, version, stamp);
    }
  }

  /** One word that stands for the stamps of the page that lies in `from` at word `at`. */
  digestOf(space: number, index: number, from: Uint32Array, at: number): number {
    let digest = 0;
    for (let stamp = 0; stamp < STAMPS; stamp++) {
      digest = fold(digest, from[at + this.#stampWord(space, index, stamp)]);
    }
    return digest;
  }

  /** What `digestOf` gives for that version, without making the page. */
  expectedDigest(space: number, index: number, version: number): number {
    const zero = this.isZero(space, index, version);
    let digest = 0;
    for (let stamp = 0; stamp < STAMPS; stamp++) {
      digest = fold(digest, zero ? 0 : this.#stamp(space, index, version, stamp));
    }
    return digest;
  }

  #kind(space: number, index: number, version: number): Kind {
    if (version === 0) {
      const draw = mix(this.#seed, space, index >>> RUN_PAGES_LOG2, 0) / 2 ** 32;
      if (draw < this.#textRatio) return "text";
      return draw < this.#textRatio + this.#randomRatio ? "random" : "zero";
    }
    if (mix(this.#seed ^ 0x2545f491, space, index, version) < CLEARING_RATIO * 2 ** 32) {
      return "zero";
    }
    const generation = version >>> GENERATION_LOG2;
    const draw = mix(this.#seed ^ 0x7feb352d, space, index, generation) / 2 ** 32;
    return draw * (this.#textRatio + this.#randomRatio) < this.#randomRatio ? "random" : "text";
  }

  #stampWord(space: number, index: number, stamp: number): number {
    const within = mix(this.#seed ^ 0x68e31da4, space, index, stamp) % STAMP_STRIDE_WORDS;
    return stamp * STAMP_STRIDE_WORDS + within;
  }

  #stamp(space: number, index: number, version: number, stamp: number): number {
    return mix(this.#seed ^ (stamp + 1), space, index, version);
  }

  /** Words of eight letters by a xorshift draw: about 4.5 times compressible, as prose is. */
  #writeText(start: number, into: Uint32Array, at: number): void {
    const words = this.#words;
    let state = start | 1;
    for (let word = at; word < at + PAGE_WORDS; word += 2) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      const entry = (state >>> 20) * 2;
      into[word] = words[entry];
      into[word + 1] = words[entry + 1];
    }
  }
}

/** Words of a xorshift32 generator (Marsaglia 2003): not compressible. */
function writeRandom(start: number, into: Uint32Array, at: number): void {
  let state = start | 1;
  for (let word = at; word < at + PAGE_WORDS; word++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    into[word] = state;
  }
}

function fold(digest: number, word: number): number {
  return Math.imul((digest << 5) ^ (digest >>> 27) ^ word, 0x9e3779b1) >>> 0;
}

/** 4096 words of seven lower-case letters and a blank, two Uint32 each. */
function vocabulary(seed: number): Uint32Array {
  const bytes = new Uint8Array(4096 * 8);
  for (let at = 0; at < bytes.length; at++) {
    const lastOfWord = at % 8 === 7;
    bytes[at] = lastOfWord ? 0x20 : 0x61 + mix(seed, 0x766f6361, at, 0) % 26;
  }
  return new Uint32Array(bytes.buffer);
}
