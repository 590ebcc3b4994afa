import { batchInvalid, type ByteSink, type ByteSource } from "./bytes.ts";

const LANES = 4;
const SUM_BYTES = 4 * LANES;
/** Odd, from the golden ratio and xxHash: multiplying by them loses nothing. */
const FACTORS = [0x9e3779b1, 0x85ebca77, 0xc2b2ae3d, 0x27d4eb2f];

/**
 * A sum over the contents of pages in their order, to see that the other side has rebuilt the same.
 *
 * 128 bits in four lanes; each step can be undone, so a single changed word always changes its sum.
 * It finds defects, not attackers: the link is authenticated, and nothing is ever taken for equal
 * because its sum is. In plain JS it runs at several GB/s, SHA-256 at one.
 */
export class PageSum {
  // Signed from the start, as every later value is: a sum of nothing is compared as well.
  #a = FACTORS[0] | 0;
  #b = FACTORS[1] | 0;
  #c = FACTORS[2] | 0;
  #d = FACTORS[3] | 0;
  /** Pages so far. */
  pageCount = 0;

  /** Adds `count` words from `at` on; `count` is a multiple of four. */
  add(words: Uint32Array, at: number, count: number): void {
    let a = this.#a, b = this.#b, c = this.#c, d = this.#d;
    for (let i = at; i < at + count; i += LANES) {
      a = Math.imul((a << 13 | a >>> 19) ^ words[i], 0x9e3779b1);
      b = Math.imul((b << 13 | b >>> 19) ^ words[i + 1], 0x85ebca77);
      c = Math.imul((c << 13 | c >>> 19) ^ words[i + 2], 0xc2b2ae3d);
      d = Math.imul((d << 13 | d >>> 19) ^ words[i + 3], 0x27d4eb2f);
    }
    this.#a = a, this.#b = b, this.#c = c, this.#d = d;
    this.pageCount++;
  }

  put(into: ByteSink): void {
    const bytes = new DataView(new ArrayBuffer(SUM_BYTES));
    [this.#a, this.#b, this.#c, this.#d].forEach((lane, i) => bytes.setInt32(4 * i, lane));
    into.raw(new Uint8Array(bytes.buffer));
  }

  /** Reads a sum; true when it is this one. */
  isNextIn(source: ByteSource): boolean {
    if (source.remaining < SUM_BYTES) throw batchInvalid("it ends inside its sum");
    const bytes = source.raw(SUM_BYTES);
    const view = new DataView(bytes.buffer, bytes.byteOffset, SUM_BYTES);
    return [this.#a, this.#b, this.#c, this.#d].every((lane, i) => view.getInt32(4 * i) === lane);
  }
}
