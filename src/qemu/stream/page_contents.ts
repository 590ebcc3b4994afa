/** Bytes kept for use again; what one read of a socket holds fits. */
const KEPT_BYTES_MAX = 1024 * 1024;

/**
 * Memory for the contents of pages. Fresh memory for each group of pages costs as much again as
 * copying them, in page faults and collection; so it is used again where its reader allows that.
 */
export class PageContents {
  #kept = new Uint8Array(0);
  #usedBytes = 0;
  /** Asked for since the last `reuse`. */
  #wantedBytes = 0;

  constructor(private readonly isReused: boolean) {}

  /** What was taken before may be written over from now on. */
  reuse(): void {
    if (this.#wantedBytes > this.#kept.byteLength) {
      this.#kept = new Uint8Array(Math.min(KEPT_BYTES_MAX, this.#wantedBytes));
    }
    this.#usedBytes = this.#wantedBytes = 0;
  }

  take(lengthBytes: number): Uint8Array {
    if (!this.isReused) return new Uint8Array(lengthBytes);
    this.#wantedBytes += lengthBytes;
    const end = this.#usedBytes + lengthBytes;
    if (end > this.#kept.byteLength) return new Uint8Array(lengthBytes);
    return this.#kept.subarray(this.#usedBytes, this.#usedBytes = end);
  }
}
