/** What `Guest.sampleDirtyRate` is asked for. */
export interface SampleOptions {
  /** How long the machine is watched, at least 1; a look at contents may add up to a second. */
  readonly seconds: number;
  /**
   * An existing folder, best one in memory: parts of the machine's memory lie in it, unencrypted, for
   * some ms each. Without it contents are looked at only where they need not leave the machine.
   */
  readonly scratchDirectory?: string | null;
  /** Ends the watching early: the call rejects with its reason, and nothing is left behind. */
  readonly signal?: AbortSignal;
}

/** How fast a machine changes its memory and disks, found without changing the machine. */
export interface DirtySample {
  readonly memory: {
    /** Shortest first, two of them: what grows with the length is not a set that stays hot. */
    readonly windows: readonly DirtyWindow[];
    /** Share of pages that hold nothing but zeroes; null where contents were not looked at. */
    readonly zeroShare: number | null;
    /** Bytes for each byte of the other pages, packed as a first copy is; null as above. */
    readonly wireRatio: number | null;
    /**
     * The same for pages that changed while they were watched, as differences from what they held;
     * null as above, and where too few changed.
     */
    readonly rewriteRatio: number | null;
  };
  readonly disks: readonly DiskSample[];
}

/** Memory that held something else at the end of a time than at its beginning. */
export interface DirtyWindow {
  readonly ms: number;
  /** A page counts once, however often it was written; in whole pages, from samples of them. */
  readonly distinctBytes: number;
}

/** What the machine wrote to a writable disk. */
export interface DiskSample {
  readonly id: string;
  readonly writtenBytesPerSecond: number;
  /** Blocks written, each counted once, over `ms`; null where the kind cannot tell. */
  readonly distinctBytes: number | null;
  readonly ms: number;
}

/** Lengths of both windows, together about `seconds`. */
export function windowsMs(seconds: number): readonly [number, number] {
  if (!(seconds >= 1 && seconds <= SAMPLE_SECONDS_MAX)) {
    throw new RangeError(`a machine is watched for 1 to ${SAMPLE_SECONDS_MAX} s, not ${seconds}`);
  }
  return [Math.round(seconds * 250), Math.round(seconds * 750)];
}

/** QEMU's own bound is 60 s for one window. */
export const SAMPLE_SECONDS_MAX = 60;
