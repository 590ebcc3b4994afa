/** Which slots some move may still refer to. Each offer pins its slots until it is released. */
export class Pins {
  readonly #counts: Uint32Array;
  readonly #offers = new Map<string, number[]>();

  constructor(slotCount: number) {
    this.#counts = new Uint32Array(slotCount);
  }

  isPinned(slot: number): boolean {
    return this.#counts[slot] > 0;
  }

  /** Adds slots to those of an offer. */
  pin(offerId: string, slots: Iterable<number>): void {
    const mine = this.#offers.get(offerId) ?? [];
    for (const slot of slots) {
      mine.push(slot);
      this.#counts[slot]++;
    }
    this.#offers.set(offerId, mine);
  }

  /** Forgets an offer. @returns slots that nobody pins any more */
  release(offerId: string): number[] {
    const slots = this.#offers.get(offerId) ?? [];
    this.#offers.delete(offerId);
    return slots.filter((slot) => --this.#counts[slot] === 0);
  }
}
