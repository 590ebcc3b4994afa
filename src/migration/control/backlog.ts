import type { Measurement } from "./measurement.ts";

/** What the destination does not have, in wire bytes. */
export interface Backlog {
  /** Dirty memory that has not been read from the machine. */
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** Read, and not on its way: pool, encoder, queue of the link. */
  readonly parkedBytes: number;
  /** All of these: what a switch would have to send first. */
  readonly waitingBytes: number;
  /**
   * What is on the wire or applied without our knowing. It arrives within the path's own delay, so
   * it makes no pause longer.
   */
  readonly onTheWayBytes: number;
}

/** What is known beside the measurement itself. */
export interface BacklogInput {
  /** What the peer applied of this move lately. */
  readonly appliedBytesPerSecond: number;
  /** Since the machine began its present pass, and so last counted what is dirty. */
  readonly passAgeMs: number;
}

/** Sums up what is left of a move: pure arithmetic over one measurement. */
export function backlogOf(
  measured: Measurement,
  { appliedBytesPerSecond, passAgeMs }: BacklogInput,
): Backlog {
  const { memory, disks, diskWireRatio, path } = measured;
  const unappliedBytes = Math.max(0, measured.sentWireBytes - measured.appliedWireBytes);
  // The pipe alone holds rate times round trip of a link that is busy; more than that is a queue.
  const pipeBytes = appliedBytesPerSecond * (path.minRoundTripMs ?? path.roundTripMs ?? 0) / 1000;
  const onTheWayBytes = Math.min(unappliedBytes, pipeBytes);
  const parkedBytes = Math.max(0, (memory?.parkedWireBytes ?? unappliedBytes) - onTheWayBytes);
  const diskRawBytes = disks.reduce((sum, disk) => sum + disk.dirtyBytes + disk.remainingBytes, 0);
  const diskBytes = diskRawBytes * diskWireRatio;
  const memoryBytes = memory === null ? 0 : dirtyMemoryBytes(memory, passAgeMs) * memory.wireRatio;
  return {
    memoryBytes,
    diskBytes,
    parkedBytes,
    waitingBytes: memoryBytes + diskBytes + parkedBytes,
    onTheWayBytes,
  };
}

/** Raw. An account of the beginning of a pass is filled up by what came since. */
function dirtyMemoryBytes(
  memory: NonNullable<Measurement["memory"]>,
  passAgeMs: number,
): number {
  const knownBytes = memory.remainingBytes ?? memory.totalBytes;
  if (memory.isCountedLive) return knownBytes;
  const newBytes = (memory.dirtyBytesPerSecond ?? 0) * Math.max(0, passAgeMs) / 1000;
  return Math.min(memory.totalBytes, knownBytes + newBytes);
}
