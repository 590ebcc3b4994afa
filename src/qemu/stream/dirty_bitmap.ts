import type { Cursor } from "./cursor.ts";

const FLAG = {
  endOfSection: 0x01,
  zeroes: 0x02,
  bitmapName: 0x04,
  nodeName: 0x08,
  start: 0x10,
  complete: 0x20,
  bits: 0x40,
  /** A longer flag field follows; never sent so far. */
  extended: 0x80,
} as const;

/** The only `dirty-bitmap` section version so far. */
export const DIRTY_BITMAP_VERSION = 1;
/** QEMU sends 8192 bits a chunk, in 1 KiB padded; far above that it is not what we know. */
const MAX_BITMAP_CHUNK_BYTES = 64 * 1024;

/**
 * One chunk of a `dirty-bitmap` section: flags, the names they announce, the body they announce.
 *
 * @returns true if the chunk ends the section's payload
 */
export function parseBitmapChunk(cursor: Cursor): boolean {
  const flags = cursor.u8();
  if (flags & FLAG.extended) cursor.unknown("a dirty-bitmap chunk has extended flags");
  if (flags & FLAG.nodeName) cursor.name();
  if (flags & FLAG.bitmapName) cursor.name();
  switch (flags & (FLAG.endOfSection | FLAG.start | FLAG.complete | FLAG.bits)) {
    case FLAG.endOfSection:
      return true;
    case FLAG.start:
      cursor.skip(5);
      return false;
    case FLAG.complete:
      return false;
    case FLAG.bits:
      cursor.skip(12);
      if (!(flags & FLAG.zeroes)) {
        const bitmapBytes = cursor.be64();
        if (bitmapBytes > MAX_BITMAP_CHUNK_BYTES) {
          cursor.unknown(`a dirty-bitmap chunk of ${bitmapBytes} bytes`);
        }
        cursor.skip(bitmapBytes);
      }
      return false;
    default:
      return cursor.unknown(`dirty-bitmap flags ${flags}`);
  }
}
