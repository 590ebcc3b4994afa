import { isBulk } from "./channel_kind.ts";
import { RECORD_HEADER_BYTES } from "./frame.ts";
import { ACK_BYTES, ACK_DELAY_MS } from "./limits.ts";
import type { ChannelState, MigrationChannels } from "./migration_channels.ts";
import { type Ack, ACK_ENTRY_BYTES, type StreamState } from "./session_records.ts";

/**
 * When the peer hears what was applied: at once for urgent frames, for bulk ones after some bytes
 * or some time, whichever comes first; then everything that waits goes in one record.
 */
export class Acknowledgements {
  #dueAtMs = Infinity;
  #isDue = false;

  /** When `tick` has something to do next. */
  get wakeAtMs(): number {
    return this.#dueAtMs;
  }

  applied({ kind, inbox }: ChannelState, nowMs: number): void {
    if (!isBulk(kind) || inbox.unreportedBytes >= ACK_BYTES) this.#isDue = true;
    else this.#dueAtMs = Math.min(this.#dueAtMs, nowMs + ACK_DELAY_MS);
  }

  tick(nowMs: number): void {
    if (nowMs < this.#dueAtMs) return;
    this.#dueAtMs = Infinity;
    this.#isDue = true;
  }

  reset(): void {
    this.#dueAtMs = Infinity;
    this.#isDue = false;
  }

  /** What is due now, as reported; empty when nothing is. */
  take(migrations: Iterable<MigrationChannels>): Ack[] {
    if (!this.#isDue) return [];
    this.reset();
    const acks: Ack[] = [];
    for (const { id, peerOpening, channels } of migrations) {
      for (const channel of channels) {
        const { kind, inbox } = channel;
        if (!inbox.ackPending || peerOpening === null) continue;
        const { appliedUpTo } = inbox;
        acks.push({ migrationId: id, kind, opening: peerOpening, appliedUpTo });
        inbox.reported();
        // The first entry pays for the record's header.
        channel.wireBytes += ACK_ENTRY_BYTES + (acks.length === 1 ? RECORD_HEADER_BYTES : 0);
      }
    }
    return acks;
  }
}

/** All that was received of every stream, for a STATE record. */
export function streamStates(migrations: Iterable<MigrationChannels>): StreamState[] {
  const states: StreamState[] = [];
  for (const { id, peerOpening, channels } of migrations) {
    if (peerOpening === null) continue;
    for (const { kind, inbox } of channels) {
      const { appliedUpTo, receivedUpTo } = inbox;
      const ahead = inbox.ahead();
      states.push({
        migrationId: id,
        kind,
        opening: peerOpening,
        appliedUpTo,
        receivedUpTo,
        ahead,
      });
    }
  }
  return states;
}
