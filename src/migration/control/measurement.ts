import type { PathMeasurement } from "../../link/peer_link.ts";

/** What a copy of memory is at, while a memory stream runs. */
export interface MemoryMeasurement {
  readonly totalBytes: number;
  /** Dirty by the machine's own account, raw bytes; null before its first answer. */
  readonly remainingBytes: number | null;
  /**
   * True where the account is of this moment; false where it is of the beginning of the pass and lacks
   * what was written since, as QEMU's.
   */
  readonly isCountedLive: boolean;
  /** Passes begun over the memory; 1 during the first. */
  readonly pass: number;
  /** By the machine's own account, raw bytes; it counts a page once a pass, so it is a lower bound. */
  readonly dirtyBytesPerSecond: number | null;
  /**
   * Wire bytes read from the machine that the peer has not applied: pool, encoder and link, frames of
   * the disks included.
   */
  readonly parkedWireBytes: number;
  /** Raw bytes read from the machine since the stream began; does not fall. */
  readonly readBytes: number;
  /** Wire bytes for each raw byte of what was sent lately. */
  readonly wireRatio: number;
}

/** What a disk is at. */
export interface DiskMeasurement {
  readonly id: string;
  /** Written by the machine and not sent: raw bytes of the next round. */
  readonly dirtyBytes: number;
  /** Of the round that runs: raw bytes that have not been handed to the link. */
  readonly remainingBytes: number;
  /** On the mean of the last seconds; null while unknown. */
  readonly dirtyBytesPerSecond: number | null;
}

/** Everything that the controller decides by, at one moment. */
export interface Measurement {
  /** Monotonic. */
  readonly nowMs: number;
  /** For schedules and windows. */
  readonly wallMs: number;
  /**
   * `firstRound`: of the disks; nothing can be decided yet but the rate. `disks`: they are in step,
   * memory is not copied. `memory`: a memory stream runs beside them.
   */
  readonly stage: "firstRound" | "disks" | "memory";
  readonly memory: MemoryMeasurement | null;
  /** Size of the machine's memory; known before its stream runs. */
  readonly memoryTotalBytes: number;
  readonly disks: readonly DiskMeasurement[];
  readonly diskWireRatio: number;
  readonly path: PathMeasurement;
  readonly isLinkUp: boolean;
  /** Wire bytes handed to the link for this move since it began; does not fall. */
  readonly sentWireBytes: number;
  /** Of them, all that is not unacknowledged; what was repeated after an outage counts in both. */
  readonly appliedWireBytes: number;
  /** False for a machine that was found paused: it has no pause to keep short. */
  readonly isRunning: boolean;
  /** False where the machine's version pauses by itself once its memory fits. */
  readonly canHold: boolean;
  /** False where the machine's disks cannot be slowed; the remedy is passed over then. */
  readonly canThrottleDisks: boolean;
  /** False where that was not allowed before memory started, or the machine has no way to. */
  readonly canThrottleCpu: boolean;
  /** Expected of both machines at the hand-over: gate, load, `cont`. */
  readonly handoverWorkMs: number;
}
