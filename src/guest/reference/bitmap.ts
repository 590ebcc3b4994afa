/** A set of page or block numbers, one bit each. */
export class Bitmap {
  readonly #words: Uint32Array;
  #count = 0;

  constructor(readonly length: number) {
    this.#words = new Uint32Array(Math.ceil(length / 32));
  }

  get count(): number {
    return this.#count;
  }

  has(index: number): boolean {
    return (this.#words[index >>> 5] & (1 << (index & 31))) !== 0;
  }

  /** @returns whether the bit was clear before */
  add(index: number): boolean {
    const bit = 1 << (index & 31);
    if ((this.#words[index >>> 5] & bit) !== 0) return false;
    this.#words[index >>> 5] |= bit;
    this.#count++;
    return true;
  }

  delete(index: number): void {
    const bit = 1 << (index & 31);
    if ((this.#words[index >>> 5] & bit) === 0) return;
    this.#words[index >>> 5] &= ~bit;
    this.#count--;
  }

  addAll(): void {
    this.#words.fill(0xffffffff);
    const beyond = this.#words.length * 32 - this.length;
    if (beyond > 0) this.#words[this.#words.length - 1] = 0xffffffff >>> beyond;
    this.#count = this.length;
  }

  clear(): void {
    this.#words.fill(0);
    this.#count = 0;
  }

  addFrom(other: Bitmap): void {
    for (let index = other.next(0); index >= 0; index = other.next(index + 1)) this.add(index);
  }

  /** The lowest member at or above `from`, or -1. */
  next(from: number): number {
    if (from >= this.length) return -1;
    let word = from >>> 5;
    let bits = this.#words[word] & (0xffffffff << (from & 31));
    while (bits === 0) {
      if (++word >= this.#words.length) return -1;
      bits = this.#words[word];
    }
    return word * 32 + 31 - Math.clz32(bits & -bits);
  }
}
