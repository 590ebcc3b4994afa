import { UNIT_BYTES } from "../../image/content_name.ts";

/** Contents of 512 MiB; some 8 MiB of memory for each peer that keeps a store. */
const HINTS_MAX = 131_072;
/** Of what the peer's store holds, so much is counted on: others send to it as well. */
const SHARE_OF_STORE = 0.5;

/**
 * What a peer has applied of late and therefore has in its store, whatever move brought it: hints in
 * the order in which they were applied, the oldest forgotten first. Serves all moves to that peer.
 */
export class SentHints {
  readonly #hints = new Set<number>();
  #hintsMax = 0;

  /** The peer keeps so many bytes: what exceeds its share is not counted on. */
  limitTo(storeBytes: number): void {
    this.#hintsMax = Math.min(HINTS_MAX, Math.floor(SHARE_OF_STORE * storeBytes / UNIT_BYTES));
    this.#trim();
  }

  has(hint: number): boolean {
    return this.#hints.has(hint);
  }

  add(hint: number): void {
    this.#hints.delete(hint);
    this.#hints.add(hint);
    this.#trim();
  }

  get count(): number {
    return this.#hints.size;
  }

  #trim(): void {
    for (const oldest of this.#hints) {
      if (this.#hints.size <= this.#hintsMax) return;
      this.#hints.delete(oldest);
    }
  }
}
