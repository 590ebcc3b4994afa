/**
 * Bytes per second that a reference guest may be told to write: far above what it can. Without a
 * bound it would never come to its next tick.
 */
export const WORKLOAD_RATE_MAX = 64 * 1024 ** 3;
