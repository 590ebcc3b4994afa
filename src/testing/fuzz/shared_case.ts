/** More of an input is not told: the seed makes it again. */
const KEPT_BYTES_MAX = 512 * 1024;
const HEAD_BYTES = 8;

/**
 * The input that a worker is at, in memory that its watcher shares: where the worker hangs or dies it
 * cannot tell any more.
 */
export class SharedCase {
  readonly #head: Int32Array;
  readonly #bytes: Uint8Array;

  constructor(readonly memory = new SharedArrayBuffer(HEAD_BYTES + KEPT_BYTES_MAX)) {
    this.#head = new Int32Array(memory, 0, 2);
    this.#bytes = new Uint8Array(memory, HEAD_BYTES);
  }

  /** Inputs begun so far. */
  get count(): number {
    return Atomics.load(this.#head, 0);
  }

  begin(input: Uint8Array): void {
    this.#bytes.set(input.subarray(0, KEPT_BYTES_MAX));
    Atomics.store(this.#head, 1, Math.min(input.length, KEPT_BYTES_MAX));
    Atomics.add(this.#head, 0, 1);
  }

  /** The input that was begun last; a copy. */
  input(): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(0, Atomics.load(this.#head, 1)));
  }
}
