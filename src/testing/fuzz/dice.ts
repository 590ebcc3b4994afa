import { Random } from "../../core/random.ts";

/** Numbers at which length checks, signs and word sizes change. */
const EDGES = [
  ...[0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 63, 64, 127, 128, 255, 256, 511, 512, 1023, 1024],
  ...[4095, 4096, 4097, 32_767, 32_768, 65_535, 65_536, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1],
  ...[2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 48, 2 ** 53 - 1, 2 ** 53],
];

/** Seeded choices of a fuzzer: the same seed makes the same inputs on every machine. */
export class Dice {
  readonly #random: Random;

  constructor(seed: number, stream: string) {
    this.#random = new Random(seed, stream);
  }

  /** 0 to `end - 1`; `end` is at least 1. */
  below(end: number): number {
    return Math.floor(this.#random.nextRatio() * end);
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(ratio: number): boolean {
    return this.#random.chance(ratio);
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)];
  }

  /** Small numbers mostly, now and then a large one: 0 to `most`. */
  size(most: number): number {
    return Math.floor(most * this.#random.nextRatio() ** 4);
  }

  /** A number at which something may change, one beside it, or any. */
  number(): number {
    const kind = this.below(4);
    if (kind === 0) return this.#random.nextUint32();
    return Math.max(0, this.pick(EDGES) + (kind === 1 ? this.between(-1, 1) : 0));
  }

  bytes(lengthBytes: number): Uint8Array {
    const bytes = new Uint8Array(lengthBytes);
    const kind = this.below(3);
    if (kind === 0) bytes.fill(this.below(256));
    else for (let at = 0; at < lengthBytes; at++) bytes[at] = this.below(kind === 1 ? 256 : 4);
    return bytes;
  }
}
