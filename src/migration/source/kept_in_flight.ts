/**
 * Contents of kept pages that the destination has not applied yet. Such a page is a few bytes on the
 * wire and thousands at the machine there: without this account the source would be done long before
 * the destination, and the rest of its work would be downtime.
 */
export class KeptInFlight {
  /** Of batches that are numbered and not known as applied, the oldest first. */
  readonly #frames: { readonly sequence: number; readonly bytes: number }[] = [];
  #bytes = 0;
  #countedBytes = 0;

  /**
   * A batch was numbered.
   *
   * @param keptBytes all that the encoder has named as kept so far, this batch included
   */
  sent(sequence: number, keptBytes: number): void {
    const bytes = keptBytes - this.#countedBytes;
    if (bytes === 0) return;
    this.#countedBytes = keptBytes;
    this.#bytes += bytes;
    this.#frames.push({ sequence, bytes });
  }

  /** Bytes of the batches behind `appliedByPeer`. */
  bytes(appliedByPeer: number): number {
    while (this.#frames.length > 0 && this.#frames[0].sequence <= appliedByPeer) {
      this.#bytes -= this.#frames.shift()!.bytes;
    }
    return this.#bytes;
  }

  /** The batch that has waited longest; null when none does. */
  get oldest(): number | null {
    return this.#frames[0]?.sequence ?? null;
  }
}
