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

  /** No name will come any more: what the store has pinned for them may go. Idempotent. */
  close(): void {
    const { count } = this.needs;
    if (count > 0) this.log(`${count} named contents were not here and were asked for`);
    this.needs.count = 0;
    this.store.release();
  }
}

/** Tells the source what it may name. Not awaited: a slow link must not hold up other messages. */
export function sendOffer(store: MoveStore, memory: Channel): void {
  const send = async () => {
    for (const payload of encodeStoreOffer(store.offer())) {
      await memory.send(FRAME_TYPES.storeOffer, payload);
    }
  };
  // A channel that closes meanwhile has ended the move.
  send().catch(() => {});
}
