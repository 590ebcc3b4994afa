const MIB = 1024 * 1024;

/** A part of memory or of a disk that is written all over, each place as often as another. */
export interface WrittenSet {
  readonly bytes: number;
  /** Raw; what is written twice counts twice. */
  readonly bytesPerSecond: number;
}

/** A disk of the model. */
export interface DiskModel {
  readonly id: string;
  readonly allocatedBytes: number;
  readonly written: WrittenSet;
}

/** A machine as the model of a move knows it. */
export interface MachineModel {
  readonly memoryBytes: number;
  readonly written: readonly WrittenSet[];
  /** Wire bytes for each raw byte of a first copy. */
  readonly memoryWireRatio: number;
  /** The same for a page that was sent before. */
  readonly rewriteWireRatio: number;
  readonly disks: readonly DiskModel[];
  readonly diskWireRatio: number;
  /** It writes for `busyMs` of each period, and not in the rest of it; null: all the time. */
  readonly phases: { readonly periodMs: number; readonly busyMs: number } | null;
  /** How fast its stream can be read. */
  readonly readBytesPerSecond: number;
  /** Pages that may wait for the link, raw. */
  readonly poolBytes: number;
  readonly isRunning: boolean;
  readonly canHold: boolean;
  readonly canThrottleDisks: boolean;
  readonly canThrottleCpu: boolean;
  /** Expected of both machines at the hand-over. */
  readonly handoverWorkMs: number;
}

/** A machine that writes nothing, with what is given in place of its parts. */
export function machineModel(parts: Partial<MachineModel> = {}): MachineModel {
  return {
    memoryBytes: 256 * MIB,
    written: [],
    memoryWireRatio: 0.45,
    rewriteWireRatio: 0.3,
    disks: [],
    diskWireRatio: 0.5,
    phases: null,
    readBytesPerSecond: 200e6,
    poolBytes: 256 * MIB,
    isRunning: true,
    canHold: true,
    canThrottleDisks: true,
    canThrottleCpu: true,
    handoverWorkMs: 90,
    ...parts,
  };
}
