import { withToken } from "../fencing.ts";
import { dirtyBytes } from "../dirty_disks.ts";
import { diskRound, startMemory } from "./copy.ts";
import type { Move } from "./move.ts";
import { repairMemory, restartMemory } from "./repair.ts";
import { Steering, type Turn } from "./steering.ts";
import { trySwitch } from "./switchover.ts";
import type { MemoryPump } from "./memory.ts";
import { tickOf } from "./tick.ts";

/** A disk round is worth its round trip above this backlog, or after this long. */
const ROUND_BACKLOG_BYTES = 1024 * 1024;
const ROUND_INTERVAL_MS = 1000;

/**
 * Disks first, then memory with further disk rounds beside it, then the switch: in the order of
 * things that happen. When, how fast, and whether at all is the controller's
 * (docs/decisions/015-one-controller.md).
 */
export async function precopy(move: Move): Promise<void> {
  const steering = new Steering(move);
  const rounds = new DiskRounds(move, steering);
  move.deps.draft.phase = "copying the disks";
  await rounds.makeFirst();
  move.disksInStep = true;
  let parked: MemoryPump | null = null;
  for (;;) {
    move.interrupt.check();
    if (move.pump !== null && move.sent.repairIsDue) await repairMemory(move);
    if (!steering.isTurnDue) await rounds.makeIfDue();
    if (!steering.isTurnDue) await steering.tick();
    const turn: Turn = steering.takeTurn();
    if (turn === "startMemory" && move.pump === null) {
      if (parked === null) await startMemory(move);
      else await restartMemory(move, parked);
      parked = null;
      await steering.followRate();
    } else if (turn === "parkMemory" && move.pump !== null) {
      parked = await parkMemory(move);
    } else if ((turn === "switch" || turn === "forcedSwitch") && move.pump !== null) {
      // A machine that stands still anyway has no pause to keep short.
      const forced = turn === "forcedSwitch" || !move.wasRunning;
      await rounds.firstRecorded();
      const undone = await trySwitch(move, forced, steering);
      if (undone === null) return;
      steering.switchUndone(undone.foundMs);
      continue;
    }
    await tickOf(move);
  }
}

/** Ends the memory stream; what the destination holds of it stays known, so a new one sends less. */
async function parkMemory(move: Move): Promise<MemoryPump> {
  const pump = move.pump!;
  move.pump = null;
  await withToken(move.deps, move.token, () => pump.source.cancel());
  pump.discard();
  return pump;
}

/** The rounds over the disks beside everything else. */
class DiskRounds {
  #endedAtMs = 0;
  /** The first, until its end is on record. */
  #first: Promise<void> | null = null;

  constructor(private readonly move: Move, private readonly steering: Steering) {}

  /**
   * Until the link has all of it: memory follows while its end, a round trip away, is waited for, so
   * that the link is not idle meanwhile.
   */
  async makeFirst(): Promise<void> {
    const { interrupt } = this.move;
    const handed = Promise.withResolvers<void>();
    this.#first = diskRound(this.move, handed.resolve).then(() => this.#ended());
    this.#first.catch((error) => interrupt.raise(error));
    await this.steering.beside(Promise.race([handed.promise, this.#first]));
  }

  /** There is no later round, and no switch, before. */
  async firstRecorded(): Promise<void> {
    if (this.#first !== null) await this.steering.beside(this.#first);
  }

  async makeIfDue(): Promise<void> {
    if (this.#first !== null) return;
    const { guest, clock } = this.move.deps;
    const backlogBytes = dirtyBytes(await guest.source.dirtyDisks());
    const isDue = clock.nowMs() - this.#endedAtMs > ROUND_INTERVAL_MS;
    if (backlogBytes > ROUND_BACKLOG_BYTES || (backlogBytes > 0 && isDue)) {
      await this.steering.beside(diskRound(this.move));
      this.#ended();
    }
  }

  #ended(): void {
    this.#first = null;
    this.#endedAtMs = this.move.deps.clock.nowMs();
  }
}
