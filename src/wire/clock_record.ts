import { ByteReader, ByteWriter } from "./bytes.ts";
import { encodeRecord, RECORD_HEADER_BYTES, RECORD_TYPES } from "./frame.ts";

/** CLOCK: `{ u64 wallMs }`, the sender's wall clock in ms since 1970, so that offsets are seen. */
export function encodeClock(wallMs: number): Uint8Array {
  return encodeRecord(RECORD_TYPES.clock, new ByteWriter(8).u64(Math.floor(wallMs)).bytes);
}

/** The time that a record tells; null of every other record. */
export function clockOf(record: Uint8Array): number | null {
  // By its length: a type that may be ignored may also have another form in a later version.
  if (record[0] !== RECORD_TYPES.clock || record.byteLength !== RECORD_HEADER_BYTES + 8) {
    return null;
  }
  try {
    return new ByteReader(record.subarray(RECORD_HEADER_BYTES)).u64();
  } catch {
    // Beyond what is a time.
    return null;
  }
}
