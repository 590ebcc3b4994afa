import { GatewayError } from "../../core/errors.ts";
import { decodeStoreOffer, OFFER_HINTS_MAX } from "../../codec/store_offer.ts";

/** What the destination has offered for one move: it is pinned there until the move ends. */
export class OfferedHints {
  isComplete = false;
  #hints = new Float64Array(0);

  get count(): number {
    return this.#hints.length;
  }

  /**
   * Takes one frame of the offer.
   *
   * @throws {GatewayError} `batch_invalid`; `frame_invalid` for more than a source takes
   */
  add(payload: Uint8Array): void {
    const { hints, isLast } = decodeStoreOffer(payload);
    const count = this.#hints.length + hints.length;
    if (this.isComplete || count > OFFER_HINTS_MAX) {
      throw new GatewayError("frame_invalid", `Cannot take an offer of ${count} hints`, {
        hint: "Check that both gateways run the same version",
      });
    }
    const all = new Float64Array(count);
    all.set(this.#hints);
    all.set(hints, this.#hints.length);
    // Frames of one offer follow each other in order already; nothing relies on that.
    this.#hints = all.sort();
    this.isComplete = isLast;
  }

  has(hint: number): boolean {
    let low = 0;
    let high = this.#hints.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#hints[middle] < hint) low = middle + 1;
      else high = middle;
    }
    return low < this.#hints.length && this.#hints[low] === hint;
  }
}
