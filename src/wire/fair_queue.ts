/** One of those who share by weight: when its next turn begins, in virtual time. */
export interface Sharer {
  turn: number;
}

/**
 * Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): who has the earliest turn goes
 * next, and then has its next turn later by the bytes it sent over its weight. Virtual time is the
 * turn of who went last; whoever had nothing to send gets no turns for that time.
 *
 * While two of them wait all the time, what one sent over its weight and what the other sent over
 * its own differ by at most a record of each over its weight (theorem 1 there).
 */
export class FairQueue {
  #now = 0;

  /** @param lagBytes how far one may fall behind without data, and still catch up */
  constructor(readonly lagBytes: number) {}

  /** The turn of one that waits, which is not long ago. */
  turn(sharer: Sharer, weight: number): number {
    return sharer.turn = Math.max(sharer.turn, this.#now - this.lagBytes / weight);
  }

  /** The one with the earliest turn has sent a record. */
  sent(sharer: Sharer, bytes: number, weight: number): void {
    this.#now = Math.max(this.#now, sharer.turn);
    sharer.turn += bytes / weight;
  }

  /** Its weight changes: what it is ahead or behind stays the same in bytes. */
  reweigh(sharer: Sharer, from: number, to: number): void {
    sharer.turn = this.#now + (sharer.turn - this.#now) * from / to;
  }

  /** It joins from another queue, neither ahead nor behind. */
  join(sharer: Sharer): void {
    sharer.turn = this.#now;
  }
}
