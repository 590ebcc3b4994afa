import { type ChannelKind, isBulk } from "./channel_kind.ts";
import { FairQueue, type Sharer } from "./fair_queue.ts";
import {
  MEMORY_RUN_BYTES,
  MEMORY_RUN_FRAME_BYTES_MIN,
  SERVICE_LAG_BYTES_MAX,
  UPPER_CLASS_WEIGHT,
} from "./limits.ts";
import type { ChannelState, MigrationChannels } from "./migration_channels.ts";
import { type MigrationShare, PRIORITIES, SHARE_DEFAULT } from "./migration_share.ts";
import { frameCost } from "./outbox.ts";

const URGENT_KINDS: readonly ChannelKind[] = ["control", "pageRequest", "returnPath"];
const MEMORY_FIRST: readonly ChannelKind[] = ["memory", "disk"];
const DISK_FIRST: readonly ChannelKind[] = ["disk", "memory"];

/** What the scheduler knows of one machine; its memory and its disks count together. */
interface Machine extends Sharer {
  share: MigrationShare;
  /** Memory bytes sent since the last disk frame. */
  memoryRunBytes: number;
}

interface PriorityClass extends Sharer {
  readonly machines: FairQueue;
}

interface Candidate {
  readonly channel: ChannelState;
  readonly machine: Machine;
}

/**
 * Decides which channel sends next.
 *
 * Urgent ones by kind, and among equals the one that was served least. Bulk is shared in three
 * steps, all of them by bytes: among priorities, where the highest that waits counts
 * `UPPER_CLASS_WEIGHT` times, so that a lower one is slow but never stands; among the machines of a
 * priority by their weights; and within a machine, where disks yield to memory, but not for ever.
 */
export class Scheduler {
  /** Service of the urgent channel of each kind that was picked last. */
  readonly #level = new Map<ChannelKind, number>();
  readonly #machines = new Map<string, Machine>();
  /** Without a lag: after a pause a higher priority goes first at once in any case. */
  readonly #classQueue = new FairQueue(0);
  readonly #classes: readonly PriorityClass[] = PRIORITIES.map(() => ({
    turn: 0,
    machines: new FairQueue(SERVICE_LAG_BYTES_MAX),
  }));
  /** What was picked last, to be charged for. */
  #picked:
    | { readonly machine: Machine; readonly of: PriorityClass; readonly weight: number }
    | null = null;

  /** Holds from the next frame on, until `forget`. */
  setShare(migrationId: string, share: MigrationShare): void {
    const machine = this.#machine(migrationId);
    const { priority, weight } = machine.share;
    machine.share = share;
    const { machines } = this.#classOf(machine);
    if (share.priority === priority) machines.reweigh(machine, weight, share.weight);
    else machines.join(machine);
  }

  /** The migration is over. */
  forget(migrationId: string): void {
    this.#machines.delete(migrationId);
  }

  urgent(channels: readonly ChannelState[]): ChannelState | null {
    for (const kind of URGENT_KINDS) {
      const floor = (this.#level.get(kind) ?? 0) - SERVICE_LAG_BYTES_MAX;
      let least: ChannelState | null = null;
      for (const channel of channels) {
        if (channel.kind !== kind || channel.outbox.peek() === null) continue;
        channel.servedBytes = Math.max(channel.servedBytes, floor);
        if (least === null || channel.servedBytes < least.servedBytes) least = channel;
      }
      if (least !== null) return least;
    }
    return null;
  }

  /**
   * @param freeBytes costs that the peer is still willing to hold
   * @param allowed false for a migration that is over its rate cap
   */
  bulk(
    migrations: Iterable<MigrationChannels>,
    freeBytes: number,
    allowed: (migrationId: string) => boolean,
  ): ChannelState | null {
    const firsts: (Candidate | null)[] = PRIORITIES.map(() => null);
    for (const migration of migrations) {
      const channel = this.#next(migration, freeBytes);
      if (channel === null || !allowed(migration.id)) continue;
      const machine = this.#machine(migration.id);
      const { priority, weight } = machine.share;
      const at = PRIORITIES.indexOf(priority);
      const turn = this.#classes[at].machines.turn(machine, weight);
      const first = firsts[at];
      if (first === null || turn < first.machine.turn) firsts[at] = { channel, machine };
    }
    const top = firsts.findIndex((first) => first !== null);
    if (top < 0) return null;
    let next = top;
    for (let at = top; at < firsts.length; at++) {
      if (firsts[at] === null) continue;
      const turn = this.#classQueue.turn(this.#classes[at], 1);
      if (turn < this.#classes[next].turn) next = at;
    }
    const { channel, machine } = firsts[next] as Candidate;
    const weight = next === top ? UPPER_CLASS_WEIGHT : 1;
    this.#picked = { machine, of: this.#classes[next], weight };
    return channel;
  }

  /** Accounts for a record that was sent: of the channel that was picked last. */
  sent(channel: ChannelState, recordBytes: number): void {
    const { kind } = channel;
    if (!isBulk(kind)) {
      channel.servedBytes += recordBytes;
      this.#level.set(kind, channel.servedBytes);
      return;
    }
    const { machine, of, weight } = this.#picked!;
    this.#classQueue.sent(of, recordBytes, weight);
    of.machines.sent(machine, recordBytes, machine.share.weight);
    // Nobody waited for the turn: the next disk frame must not find a debt from long ago.
    if (kind === "disk" || isDiskDue(machine)) machine.memoryRunBytes = 0;
    if (kind === "memory") {
      machine.memoryRunBytes += Math.max(recordBytes, MEMORY_RUN_FRAME_BYTES_MIN);
    }
  }

  /** The channel of a migration that would go next; null when none may. */
  #next(migration: MigrationChannels, freeBytes: number): ChannelState | null {
    if (migration.state !== "open") return null;
    const machine = this.#machines.get(migration.id);
    const kinds = machine !== undefined && isDiskDue(machine) ? DISK_FIRST : MEMORY_FIRST;
    for (const kind of kinds) {
      const channel = migration.opened(kind);
      if (channel !== undefined && fitsWindow(channel, freeBytes)) return channel;
    }
    return null;
  }

  #machine(migrationId: string): Machine {
    let machine = this.#machines.get(migrationId);
    if (machine === undefined) {
      machine = { turn: 0, share: SHARE_DEFAULT, memoryRunBytes: 0 };
      this.#machines.set(migrationId, machine);
      this.#classOf(machine).machines.join(machine);
    }
    return machine;
  }

  #classOf({ share }: Machine): PriorityClass {
    return this.#classes[PRIORITIES.indexOf(share.priority)];
  }
}

function isDiskDue({ memoryRunBytes }: Machine): boolean {
  return memoryRunBytes >= MEMORY_RUN_BYTES;
}

/**
 * Whether a channel has a frame that may be sent. A channel takes at most as much of the window as
 * it leaves free (dynamic threshold: Choudhury and Hahne, 1998), so one whose destination is slow
 * cannot stop the others. What is sent again has its place in the window already.
 */
function fitsWindow({ outbox }: ChannelState, freeBytes: number): boolean {
  const next = outbox.peek();
  if (next === null) return false;
  return !next.first || outbox.inFlightCost + frameCost(next.frame.payload) <= freeBytes;
}
