import { encodeStoreOffer } from "../../codec/store_offer.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { MoveStore } from "../store.ts";
import { ArrivingNames, Needs } from "./needs.ts";

/** Contents for the names on both channels of one move. */
export class MoveNames {
  readonly needs: Needs;
  readonly memory: ArrivingNames;
  readonly disk: ArrivingNames;

  /**
   * @param channel where the source is asked for what is missing
   * @param log told at the end
   */
  constructor(
    private readonly store: MoveStore,
    channel: Channel,
    private readonly log: (message: string) => void,
  ) {
    this.needs = new Needs(channel);
    this.memory = new ArrivingNames("memory", store, this.needs);
    this.disk = new ArrivingNames("disk", store, this.needs);
  }

  /**
   * No name will come any more: what the store has pinned for them may go, and batches that wait for
   * an answer are given up. Idempotent.
   */
  close(): void {
    this.needs.close();
    const { count } = this.needs;
    if (count > 0) this.log(`${count} named contents were not here and were asked for`);
    this.needs.count = 0;
    this.store.release();
  }
}

/** Tells the source what it may name. Never rejects: a channel that closes has ended the move. */
export async function sendStoreOffer(store: MoveStore, memory: Channel): Promise<void> {
  try {
    for (const payload of encodeStoreOffer(store.offer())) {
      await memory.send(FRAME_TYPES.storeOffer, payload);
    }
  } catch { /* Nobody waits for the rest. */ }
}
