import { CHANNEL_KINDS, type ChannelKind } from "./channel_kind.ts";
import { Inbox } from "./inbox.ts";
import { migrationIdBytes } from "./migration_id.ts";
import { Outbox } from "./outbox.ts";

/** Both directions of one channel on this side. */
export class ChannelState {
  readonly outbox = new Outbox();
  readonly inbox = new Inbox();
  /** All record bytes of this channel, replays and acknowledgements included. */
  wireBytes = 0;
  receivedWireBytes = 0;
  /** Service received among its equals, of an urgent channel; see `scheduler.ts`. */
  servedBytes = 0;

  constructor(readonly migration: MigrationChannels, readonly kind: ChannelKind) {}
}

/** The channels of one opening of a migration on this side. */
export class MigrationChannels {
  readonly idBytes: Uint8Array;
  /** The peer's number of its opening; null until its first frame. */
  peerOpening: number | null = null;
  /** Something here opened a channel of it; until then frames wait, for a limited time. */
  claimed = false;
  /** `deaf`: the peer takes no more frames, what it sent is still delivered. */
  state: "open" | "deaf" | "closed" = "open";

  readonly #channels = new Map<ChannelKind, ChannelState>();

  constructor(readonly id: string, readonly opening: number, readonly createdAtMs: number) {
    this.idBytes = migrationIdBytes(id);
  }

  channel(kind: ChannelKind): ChannelState {
    let channel = this.#channels.get(kind);
    if (channel === undefined) {
      channel = new ChannelState(this, kind);
      this.#channels.set(kind, channel);
    }
    return channel;
  }

  /** A channel that frames went or came by. */
  opened(kind: ChannelKind): ChannelState | undefined {
    return this.#channels.get(kind);
  }

  get channels(): Iterable<ChannelState> {
    return this.#channels.values();
  }

  /** What was applied here of each kind, in the order of the kinds' numbers. */
  appliedUpTo(): number[] {
    return CHANNEL_KINDS.map((kind) => this.#channels.get(kind)?.inbox.appliedUpTo ?? 0);
  }

  /** The peer takes nothing more: what waits for it is dropped. */
  deafen(): void {
    this.state = "deaf";
    for (const channel of this.channels) channel.outbox.clear();
  }

  close(): void {
    this.state = "closed";
    for (const channel of this.channels) {
      channel.outbox.clear();
      channel.inbox.clear();
    }
  }
}
