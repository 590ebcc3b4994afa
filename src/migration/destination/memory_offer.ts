import type { KnownMemory } from "../../codec/known_memory.ts";
import { MemoryOfferWriter } from "../../codec/memory_offer.ts";
import { PageSpace } from "../../codec/page_space.ts";
import type { Clock } from "../../core/clock.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";

/** Tells the source what is here of the machine's memory from before. */
export class MemoryOffer {
  readonly #writer: MemoryOfferWriter;
  #isWithdrawn = false;

  constructor(kept: KnownMemory) {
    this.#writer = new MemoryOfferWriter(kept.image, new PageSpace(kept.layout).pageCount);
    // What is offered has to be there until it was given to the machine.
    kept.image.pinHeld();
  }

  /** True when the source may have heard all of it. */
  get isMade(): boolean {
    return this.#writer.isComplete;
  }

  /** The move is over: what is not told yet never will be. */
  withdraw(): void {
    this.#isWithdrawn = true;
  }

  /** Sends it, some pages at a time: other moves go on meanwhile. */
  async send(channel: Channel, clock: Pick<Clock, "sleep">): Promise<void> {
    try {
      while (!this.isMade && !this.#isWithdrawn) {
        await channel.send(FRAME_TYPES.memoryOffer, this.#writer.next());
        await clock.sleep(0);
      }
    } catch (error) {
      // With the move its channel ends as well.
      if (!this.#isWithdrawn) throw error;
    }
  }
}
