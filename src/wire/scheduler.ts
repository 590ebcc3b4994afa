import { type ChannelKind, isBulk } from "./channel_kind.ts";
import { MEMORY_RUN_BYTES, MEMORY_RUN_FRAME_BYTES_MIN, SERVICE_LAG_BYTES_MAX } from "./limits.ts";
import type { ChannelState } from "./migration_channels.ts";
import { frameCost } from "./outbox.ts";

type MaySend = (channel: ChannelState) => boolean;

const URGENT_KINDS: readonly ChannelKind[] = ["control", "pageRequest", "returnPath"];
const MEMORY_FIRST: readonly ChannelKind[] = ["memory", "disk"];
const DISK_FIRST: readonly ChannelKind[] = ["disk", "memory"];

/**
 * Decides which channel sends next: by kind, and among channels of one kind the one that was served
 * least (start-time fair queueing by bytes). Disk yields to memory, but not for ever.
 */
export class Scheduler {
  /** Service of the channel of each kind that was picked last. */
  readonly #level = new Map<ChannelKind, number>();
  /** Memory bytes sent since the last disk frame. */
  #memoryRunBytes = 0;

  urgent(channels: readonly ChannelState[]): ChannelState | null {
    return this.#first(URGENT_KINDS, channels, () => true);
  }

  /**
   * @param windowBytes costs that may be in flight
   * @param allowed false for a migration that is over its rate cap
   */
  bulk(
    channels: readonly ChannelState[],
    windowBytes: number,
    allowed: (migrationId: string) => boolean,
  ): ChannelState | null {
    let freeBytes = windowBytes;
    for (const { kind, outbox } of channels) if (isBulk(kind)) freeBytes -= outbox.inFlightCost;
    const order = this.#memoryRunBytes >= MEMORY_RUN_BYTES ? DISK_FIRST : MEMORY_FIRST;
    const channel = this.#first(
      order,
      channels,
      (channel) => fitsWindow(channel, freeBytes) && allowed(channel.migration.id),
    );
    // Nobody waited for the turn: the next disk frame must not find a debt from long ago.
    if (order === DISK_FIRST && channel?.kind === "memory") this.#memoryRunBytes = 0;
    return channel;
  }

  /** Accounts for a record that was sent. */
  sent(channel: ChannelState, recordBytes: number): void {
    channel.servedBytes += recordBytes;
    this.#level.set(channel.kind, channel.servedBytes);
    if (channel.kind === "memory") {
      this.#memoryRunBytes += Math.max(recordBytes, MEMORY_RUN_FRAME_BYTES_MIN);
    }
    if (channel.kind === "disk") this.#memoryRunBytes = 0;
  }

  #first(
    kinds: readonly ChannelKind[],
    channels: readonly ChannelState[],
    may: MaySend,
  ): ChannelState | null {
    for (const kind of kinds) {
      const floor = (this.#level.get(kind) ?? 0) - SERVICE_LAG_BYTES_MAX;
      let least: ChannelState | null = null;
      for (const channel of channels) {
        if (channel.kind !== kind || channel.outbox.peek() === null || !may(channel)) continue;
        channel.servedBytes = Math.max(channel.servedBytes, floor);
        if (least === null || channel.servedBytes < least.servedBytes) least = channel;
      }
      if (least !== null) return least;
    }
    return null;
  }
}

/**
 * Whether the next frame of a channel may be sent. A channel takes at most as much of the window as
 * it leaves free (dynamic threshold: Choudhury and Hahne, 1998), so one whose destination is slow
 * cannot stop the others. What is sent again has its place in the window already.
 */
function fitsWindow({ outbox }: ChannelState, freeBytes: number): boolean {
  const next = outbox.peek()!;
  return !next.first || outbox.inFlightCost + frameCost(next.frame.payload) <= freeBytes;
}
