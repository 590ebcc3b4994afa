import { GatewayError } from "../core/errors.ts";
import { type ChannelKind, isBulk } from "./channel_kind.ts";
import type { Frame } from "./frame.ts";
import {
  CLOSED_MIGRATIONS_KEPT,
  MIGRATIONS_MAX,
  RESETS_QUEUED_MAX,
  UNCLAIMED_MS,
} from "./limits.ts";
import { type ChannelState, MigrationChannels } from "./migration_channels.ts";
import type { Reset, StreamName } from "./session_records.ts";

/** What becomes of migrations without the user's doing. */
export type MigrationEvent =
  | { readonly kind: "newMigration"; readonly migrationId: string }
  /** Its channels take no frame any more (state `deaf`), or are gone altogether (`closed`). */
  | { readonly kind: "ended"; readonly migration: MigrationChannels; readonly reason: string };

/** Remembered of a closed migration: which frames are late, and what to answer to them. */
interface Closed {
  readonly peerOpening: number;
  readonly appliedUpTo: readonly number[];
}

/**
 * The migrations of one session, open and lately closed.
 *
 * Each side numbers its openings of a migration, and a frame names the sender's opening and the
 * receiver's as far as the sender knows it. So a migration can be closed and opened again by either
 * side at any time, and a late frame is refused with what was applied of it.
 */
export class MigrationTable {
  readonly #open = new Map<string, MigrationChannels>();
  readonly #closed = new Map<string, Closed>();
  readonly #resets = new Map<string, Reset>();
  readonly #emit: (event: MigrationEvent) => void;
  #nextOpening: number;

  /** @param emit called in the middle of a change: it must only take note */
  constructor(firstOpening: number, emit: (event: MigrationEvent) => void) {
    this.#nextOpening = firstOpening;
    this.#emit = emit;
  }

  get all(): Iterable<MigrationChannels> {
    return this.#open.values();
  }

  /** Costs of bulk frames sent and not acknowledged, and received and not applied. */
  heldCosts(): { readonly sentBytes: number; readonly receivedBytes: number } {
    let sentBytes = 0;
    let receivedBytes = 0;
    for (const migration of this.#open.values()) {
      for (const { kind, outbox, inbox } of migration.channels) {
        if (!isBulk(kind)) continue;
        sentBytes += outbox.inFlightCost;
        receivedBytes += inbox.heldCost;
      }
    }
    return { sentBytes, receivedBytes };
  }

  /** Every channel whose peer still takes frames. */
  sending(): ChannelState[] {
    const channels: ChannelState[] = [];
    for (const migration of this.#open.values()) {
      if (migration.state === "open") channels.push(...migration.channels);
    }
    return channels;
  }

  /** @throws {GatewayError} `link_closed` when too many migrations are open */
  claim(migrationId: string, kind: ChannelKind, nowMs: number): ChannelState {
    let migration = this.#open.get(migrationId);
    if (migration === undefined) {
      if (this.#open.size >= MIGRATIONS_MAX) {
        throw new GatewayError(
          "link_closed",
          `Cannot open a channel: ${MIGRATIONS_MAX} migrations are open with this peer`,
          { hint: "Wait until some of them have ended" },
        );
      }
      migration = this.#create(migrationId, nowMs);
    }
    migration.claimed = true;
    return migration.channel(kind);
  }

  close(migrationId: string, reason: string): void {
    const migration = this.#open.get(migrationId);
    if (migration === undefined) return;
    const { peerOpening } = migration;
    if (peerOpening !== null) {
      const appliedUpTo = migration.appliedUpTo();
      this.#closed.delete(migrationId);
      this.#closed.set(migrationId, { peerOpening, appliedUpTo });
      trim(this.#closed, CLOSED_MIGRATIONS_KEPT);
      this.#queueReset({ migrationId, opening: peerOpening, appliedUpTo });
    }
    this.#end(migration, reason);
  }

  /** Closes what the peer opened and nobody here has claimed in time. */
  closeUnclaimed(nowMs: number): void {
    for (const { id, claimed, createdAtMs } of [...this.#open.values()]) {
      if (!claimed && nowMs - createdAtMs >= UNCLAIMED_MS) this.close(id, "nobody here knows it");
    }
  }

  /** The peer is another process now: nothing of what was holds. */
  reset(reason: string): void {
    for (const migration of [...this.#open.values()]) this.#end(migration, reason);
    this.#closed.clear();
    this.#resets.clear();
  }

  /** The open migration that a frame belongs to; null when it is late or cannot be opened. */
  addressee(frame: Frame, nowMs: number): MigrationChannels | null {
    const { migrationId, opening, answers } = frame;
    const migration = this.#open.get(migrationId);
    if (answers !== 0 && migration?.opening !== answers) return this.#refuse(frame);
    if (migration !== undefined && migration.peerOpening !== null) {
      if (migration.peerOpening === opening) return migration;
      if (migration.peerOpening > opening) return null;
      // The peer closed and opened it again: what is open here belongs to the past.
      this.#end(migration, "the peer opened the migration anew");
    } else {
      if (opening <= (this.#closed.get(migrationId)?.peerOpening ?? 0)) return this.#refuse(frame);
      if (migration !== undefined) return this.#adopt(migration, opening);
    }
    if (this.#open.size >= MIGRATIONS_MAX) return this.#refuse(frame);
    this.#emit({ kind: "newMigration", migrationId });
    return this.#adopt(this.#create(migrationId, nowMs), opening);
  }

  /** The channel whose frames the peer speaks about; null when it is none of the present ones. */
  ownStream(stream: StreamName): ChannelState | null {
    return this.ownOpening(stream)?.channel(stream.kind) ?? null;
  }

  /** The migration of which the peer names our present opening, while it takes our frames. */
  ownOpening(name: { migrationId: string; opening: number }): MigrationChannels | null {
    const migration = this.#open.get(name.migrationId);
    return migration?.opening === name.opening && migration.state === "open" ? migration : null;
  }

  /** The peer takes no more frames of it. */
  deafen(migration: MigrationChannels, reason: string): void {
    migration.deafen();
    this.#emit({ kind: "ended", migration, reason });
  }

  /** A RESET to send; null when none is due. */
  takeReset(): Reset | null {
    for (const [key, reset] of this.#resets) {
      this.#resets.delete(key);
      return reset;
    }
    return null;
  }

  #create(migrationId: string, nowMs: number): MigrationChannels {
    const migration = new MigrationChannels(migrationId, this.#nextOpening++, nowMs);
    this.#open.set(migrationId, migration);
    return migration;
  }

  #adopt(migration: MigrationChannels, peerOpening: number): MigrationChannels {
    migration.peerOpening = peerOpening;
    return migration;
  }

  #end(migration: MigrationChannels, reason: string): void {
    this.#open.delete(migration.id);
    migration.close();
    this.#emit({ kind: "ended", migration, reason });
  }

  #refuse({ migrationId, opening }: Frame): null {
    const closed = this.#closed.get(migrationId);
    const appliedUpTo = closed?.peerOpening === opening ? closed.appliedUpTo : [];
    this.#queueReset({ migrationId, opening, appliedUpTo });
    return null;
  }

  #queueReset(reset: Reset): void {
    this.#resets.set(`${reset.migrationId} ${reset.opening}`, reset);
    trim(this.#resets, RESETS_QUEUED_MAX);
  }
}

/** Drops the oldest entries beyond `sizeMax`. */
function trim(entries: Map<string, unknown>, sizeMax: number): void {
  for (const key of entries.keys()) {
    if (entries.size <= sizeMax) return;
    entries.delete(key);
  }
}
