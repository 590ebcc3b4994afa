/** Memory moves in pages of this size. */
export const PAGE_BYTES = 4096;
export const PAGE_WORDS = PAGE_BYTES / 4;

/** The workload writes disks in blocks of the size of a page, so that one content model serves both. */
export const BLOCK_BYTES = PAGE_BYTES;

/** One bit of a disk's dirty bitmap stands for this many bytes (the default of QEMU's bitmaps). */
export const TRACKED_BYTES = 64 * 1024;

/** The machine's own time advances in ticks of this length while it runs. */
export const TICK_MS = 10;
export const TICKS_PER_SECOND = 1000 / TICK_MS;
