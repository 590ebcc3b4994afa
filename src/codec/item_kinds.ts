/** Kinds of items in the description of a memory batch; `memory_batch.ts` has their layouts. */
export const LAYOUT = 1;
export const PAGES = 2;
export const ZEROS = 3;
export const OPAQUE = 4;
export const CHANGES = 5;
export const SUM = 6;
export const KEPT = 7;
export const NAMED = 8;

export const REASON_BYTES_MAX = 1_024;

/**
 * Pages that the changes of one batch lead to, in bytes: a reference of two bytes becomes a page, so
 * the decoder needs a limit of its own.
 */
export const CHANGED_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Kept pages that one batch gives to the machine, in bytes. Two bytes become many pages, each read
 * and hashed (about 20 µs): the limit holds memory, and how long other moves wait.
 */
export const KEPT_BYTES_MAX = 1024 * 1024;
