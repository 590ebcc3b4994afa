import { GatewayError } from "../core/errors.ts";
import { isBulk } from "../wire/channel_kind.ts";
import type { ChannelState } from "../wire/migration_channels.ts";
import type { Channel } from "./peer_link.ts";

/** What a channel needs of the link it belongs to. */
export interface ChannelHost {
  /** Numbers and queues a frame, and starts sending. */
  send(state: ChannelState, type: number, payload: Uint8Array): number;
  queueDepthBytes(): number;
  deliver(state: ChannelState): Frame | null;
  applied(state: ChannelState, sequence: number): void;
  handlerFailed(state: ChannelState, thrown: unknown): void;
}

type Frame = { type: number; sequence: number; payload: Uint8Array };

interface Waiter {
  readonly isOver: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: GatewayError) => void;
  /** Waits for the peer rather than for this side: over when the peer takes no more. */
  readonly onPeer: boolean;
}

/** The `Channel` that users of the link hold; promises over the session's channel state. */
export class LinkChannel implements Channel {
  readonly #state: ChannelState;
  readonly #host: ChannelHost;
  #handler: ((frame: Frame) => Promise<void>) | null = null;
  #isHandling = false;
  #waiters: Waiter[] = [];

  constructor(state: ChannelState, host: ChannelHost) {
    this.#state = state;
    this.#host = host;
  }

  async send(type: number, payload: Uint8Array): Promise<number> {
    const sequence = this.#host.send(this.#state, type, payload);
    if (isBulk(this.#state.kind)) {
      const { outbox } = this.#state;
      const numberedBytes = outbox.numberedBytes;
      await this.#wait(
        () => numberedBytes - outbox.firstSentBytes <= this.#host.queueDepthBytes(),
        true,
      );
    }
    return sequence;
  }

  receive(handler: (frame: Frame) => Promise<void>): void {
    if (this.#handler !== null) throw new TypeError("A channel has one handler");
    this.#handler = handler;
    this.touched();
  }

  get lastSent(): number {
    return this.#state.outbox.lastNumbered;
  }

  get appliedByPeer(): number {
    return this.#state.outbox.acknowledgedUpTo;
  }

  get appliedHere(): number {
    return this.#state.inbox.appliedUpTo;
  }

  whenAppliedByPeer(sequence: number): Promise<void> {
    return this.#wait(() => this.appliedByPeer >= sequence, true);
  }

  whenAppliedHere(sequence: number): Promise<void> {
    return this.#wait(() => this.appliedHere >= sequence, false);
  }

  get unacknowledgedBytes(): number {
    return this.#state.outbox.unacknowledgedBytes;
  }

  get wireBytes(): number {
    return this.#state.wireBytes;
  }

  get receivedWireBytes(): number {
    return this.#state.receivedWireBytes;
  }

  /** The state changed: frames, acknowledgements, room or an end. */
  touched(): void {
    this.#settleWaiters();
    if (this.#handler !== null && !this.#isHandling) void this.#handle(this.#handler);
  }

  async #handle(handler: (frame: Frame) => Promise<void>): Promise<void> {
    this.#isHandling = true;
    try {
      for (;;) {
        const frame = this.#host.deliver(this.#state);
        if (frame === null) return;
        await handler(frame);
        this.#host.applied(this.#state, frame.sequence);
      }
    } catch (thrown) {
      this.#host.handlerFailed(this.#state, thrown);
    } finally {
      this.#isHandling = false;
    }
  }

  #wait(isOver: () => boolean, onPeer: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ isOver, resolve, reject, onPeer });
      this.#settleWaiters();
    });
  }

  #settleWaiters(): void {
    const { state } = this.#state.migration;
    this.#waiters = this.#waiters.filter((waiter) => {
      if (waiter.isOver()) waiter.resolve();
      else if (state === "closed" || (state === "deaf" && waiter.onPeer)) {
        waiter.reject(channelClosed());
      } else return true;
      return false;
    });
  }
}

function channelClosed(): GatewayError {
  return new GatewayError("link_closed", "Cannot wait for the peer: the channel is closed", {
    hint: "The migration it belongs to has ended at the peer or here",
  });
}
