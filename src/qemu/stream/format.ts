/**
 * Numbers of QEMU's migration stream (main channel, pre-copy), as sent by 7.2 to 10.x.
 *
 * Source: QEMU `docs/devel/migration`, `migration/savevm.c`, `migration/ram.c`; each value was
 * also met in captured streams of 7.2.22 and 10.0.2 (`tests/golden/qemu-stream-*`). Everything is
 * big-endian.
 */

/** "QEVM", the first word of a main channel. */
export const FILE_MAGIC = 0x5145564d;
export const FILE_VERSION = 3;
export const MULTIFD_MAGIC = 0x11223344;

/** First byte of an element. */
export const ELEMENT = {
  eof: 0x00,
  start: 0x01,
  part: 0x02,
  end: 0x03,
  full: 0x04,
  subsection: 0x05,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const;

/** Low bits of a memory record's first word; they always fit below the page size. */
export const RAM = {
  zero: 0x002,
  memSize: 0x004,
  page: 0x008,
  endOfSection: 0x010,
  /** Modifier: same block as the record before on this connection, so no block name follows. */
  sameBlock: 0x020,
  delta: 0x040,
} as const;

/** The only `ram` section version that 7.2 to 10.x write. */
export const RAM_VERSION = 4;

export const COMMAND = {
  openReturnPath: 1,
  ping: 2,
  postcopyAdvise: 3,
  postcopyListen: 4,
  postcopyRun: 5,
  postcopyDiscard: 6,
  packaged: 7,
  enableColo: 8,
  postcopyResume: 9,
  receivedBitmap: 10,
  switchoverStart: 11,
} as const;

/** x86; other machines announce theirs in `configuration/target-page-bits` or POSTCOPY_ADVISE. */
export const DEFAULT_PAGE_BYTES = 4096;
/** Below 1 KiB the record flags would not fit, above 64 KiB QEMU has no target. */
export const MIN_PAGE_BYTES = 1024;
export const MAX_PAGE_BYTES = 64 * 1024;

/** Total memory that one machine may announce (256 TiB); keeps every offset a safe integer. */
export const MAX_MEMORY_BYTES = 2 ** 48;
/** Page numbers are kept in 32 bits: 16 TiB in one block of 4 KiB pages. */
export const MAX_BLOCK_PAGES = 2 ** 32;
/** Real machines have 5 to 40 blocks, one per memory device and option ROM. */
export const MAX_BLOCKS = 4096;
/** Capabilities of a migration that a stream may name; QEMU 10 has 25. */
export const MAX_CAPABILITIES = 64;
/** A name's length is one byte on the wire. */
export const MAX_NAME_BYTES = 255;
/** Longest machine name or other configuration text that is taken for one. */
export const MAX_TEXT_BYTES = 1024;

/**
 * The longest record that is ever held until it is complete; also the reader's whole buffer. Holds
 * the START section of some 4000 blocks with ordinary names, and any page record.
 */
export const MAX_HELD_BYTES = 128 * 1024;
