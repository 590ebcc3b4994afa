export const STORE_BYTES_MAX_DEFAULT = 1024 * 1024 * 1024;
/** Contents of 512 MiB: about 640 KiB of offer. */
export const OFFER_UNITS_MAX_DEFAULT = 131_072;

export interface SiteStoreOptions {
  readonly directory: string;
  readonly bytesMax: number;
  /** False: no content of a machine's memory is kept, nor is any left of before. */
  readonly keepsMemory: boolean;
  readonly offerUnitsMax?: number;
  /** Does some work soon, after what is waiting now. */
  readonly later: (work: () => void) => void;
  readonly log: (level: "info" | "warn", message: string) => void;
}

/** What was asked of a store since it was opened, in units. */
export interface StoreCounts {
  kept: number;
  /** Put, and there already. */
  known: number;
  /** Not kept, because too many waited to be written or everything was pinned. */
  skipped: number;
  given: number;
  /** Asked for and not there, or not for who asked. */
  absent: number;
  /** What a slot held was not what its name says: dropped. */
  damaged: number;
  evicted: number;
}

export function noCounts(): StoreCounts {
  return { kept: 0, known: 0, skipped: 0, given: 0, absent: 0, damaged: 0, evicted: 0 };
}
