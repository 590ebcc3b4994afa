/**
 * Seeded randomness for models and tests: the same seed gives the same run on every machine.
 *
 * The generator is sfc32 (Chris Doty-Humphrey, PractRand): 128 bits of state, passes PractRand and
 * BigCrush, and needs only 32-bit additions, which V8 keeps out of the heap.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /**
   * @param seed any safe integer
   * @param stream names an independent sequence of the same seed, so that switching one kind of
   *   loss on does not move the others
   */
  constructor(seed: number, stream: string) {
    if (!Number.isSafeInteger(seed)) throw new RangeError(`seed must be an integer, got ${seed}`);
    let state = hash32(seed | 0, Math.floor(seed / 2 ** 32) | 0);
    for (let i = 0; i < stream.length; i++) state = hash32(state, stream.charCodeAt(i));
    this.#a = hash32(state, 1);
    this.#b = hash32(state, 2);
    this.#c = hash32(state, 3);
    // The reference seeds by discarding the first outputs until the words have mixed.
    for (let i = 0; i < 12; i++) this.nextUint32();
  }

  /** 0 to 2^32 - 1. */
  nextUint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** At least 0, below 1, in steps of 2^-32. */
  nextRatio(): number {
    return this.nextUint32() * 2 ** -32;
  }

  /** True with probability `ratio`; draws nothing for 0 and 1. */
  chance(ratio: number): boolean {
    if (ratio <= 0) return false;
    if (ratio >= 1) return true;
    return this.nextRatio() < ratio;
  }
}

/** Mixes two 32-bit words into one (finaliser of MurmurHash3, Austin Appleby). */
export function hash32(word: number, salt: number): number {
  let h = Math.imul(word ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(salt + 0x7f4a7c15, 0xc2b2ae35);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) | 0;
}
