/** Nothing was read for so much longer than a queue takes to be lasting: the path was dark. */
const DARK_MS = 400;
/** Meanwhile the estimate falls no further than to this share: nothing says what the path can do. */
const FLOOR_SHARE = 1 / 8;

/**
 * Watches whether the peer reads anything at all; pure. A path that is dark, or a program that
 * stands still, looks like a rate of 0; an estimate that believed it would need seconds to return.
 */
export class Darkness {
  #readBytes = 0;
  #readAtMs: number | null = null;
  #floorBytesPerSecond = 0;

  /** What the estimate does not fall below for the lack of reading. */
  get floorBytesPerSecond(): number {
    return this.#floorBytesPerSecond;
  }

  /** Goes on after a time without reports, in which nothing could be seen to be read. */
  resume(nowMs: number): void {
    this.#readAtMs = nowMs;
  }

  /** @returns true when something is read again after the path was dark */
  take(
    sentBytes: number,
    readBytes: number,
    estimatedBytesPerSecond: number,
    lastingMs: number,
    nowMs: number,
  ): boolean {
    if (readBytes <= this.#readBytes) {
      // Without anything to read this is no darkness.
      if (readBytes >= sentBytes) this.#readAtMs = nowMs;
      return false;
    }
    const wasDark = this.#readAtMs !== null && nowMs - this.#readAtMs > lastingMs + DARK_MS;
    this.#readBytes = readBytes;
    this.#readAtMs = nowMs;
    this.#floorBytesPerSecond = FLOOR_SHARE * estimatedBytesPerSecond;
    return wasDark;
  }
}
