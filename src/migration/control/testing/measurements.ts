import type { PathMeasurement } from "../../../link/peer_link.ts";
import type { DiskMeasurement, Measurement, MemoryMeasurement } from "../measurement.ts";
import type { Wishes } from "../wishes.ts";

/** A path of 10 MB/s and 100 ms, quiet, with what is given in place of its parts. */
export function path(parts: Partial<PathMeasurement> = {}): PathMeasurement {
  return {
    roundTripMs: 100,
    minRoundTripMs: 100,
    bottleneckBytesPerSecond: 10e6,
    goodputBytesPerSecond: null,
    lossRatio: 0,
    queueMs: 0,
    jitterMs: 0,
    silentMs: 20,
    ...parts,
  };
}

/** 256 MB of clean memory in its third pass. */
export function memory(parts: Partial<MemoryMeasurement> = {}): MemoryMeasurement {
  return {
    totalBytes: 256e6,
    remainingBytes: 0,
    isCountedLive: false,
    pass: 3,
    dirtyBytesPerSecond: 0,
    parkedWireBytes: 0,
    readBytes: 256e6,
    wireRatio: 0.5,
    ...parts,
  };
}

/** A disk in step. */
export function disk(parts: Partial<DiskMeasurement> = {}): DiskMeasurement {
  return { id: "root", dirtyBytes: 0, remainingBytes: 0, dirtyBytesPerSecond: 0, ...parts };
}

/** A machine with memory in step at a time of the move. */
export function measurement(nowMs: number, parts: Partial<Measurement> = {}): Measurement {
  return {
    nowMs,
    wallMs: Date.UTC(2024, 0, 1) + nowMs,
    stage: "memory",
    memory: memory(),
    memoryTotalBytes: 256e6,
    disks: [],
    diskWireRatio: 0.5,
    path: path(),
    isLinkUp: true,
    sentWireBytes: 0,
    appliedWireBytes: 0,
    isRunning: true,
    canHold: true,
    canThrottleDisks: true,
    canThrottleCpu: true,
    handoverWorkMs: 90,
    ...parts,
  };
}

/** The defaults of a move. */
export function wishes(parts: Partial<Wishes> = {}): Wishes {
  return {
    maxDowntimeMs: 300,
    rate: null,
    whenOver: ["wait"],
    hold: false,
    window: null,
    switchNow: false,
    holdMemoryMs: 600_000,
    ...parts,
  };
}
