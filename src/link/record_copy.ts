/**
 * A record that travels as a datagram beside its stream (protocol version 1, implemented):
 *
 *     COPY      { u8 4, record }
 *
 * A stream holds back what lies behind a lost packet for a round trip, and a packet lost at its end
 * until a time-out: more than twice a round trip. Where one small record is all that a paused
 * machine waits for, a copy that arrives by itself takes that risk away. It is no more than a
 * duplicate, which the session drops; a sender may leave it out and a receiver may ignore it.
 */
const TYPE = 4;

/** Null where the record does not fit into one datagram of `datagramBytesMax`. */
export function encodeCopy(
  record: Uint8Array,
  datagramBytesMax: number,
): Uint8Array<ArrayBuffer> | null {
  if (record.length === 0 || record.length + 1 > datagramBytesMax) return null;
  const datagram = new Uint8Array(1 + record.length);
  datagram[0] = TYPE;
  datagram.set(record, 1);
  return datagram;
}

/** The record of a COPY, as a view into `datagram`; null for every other datagram. */
export function decodeCopy(datagram: Uint8Array): Uint8Array | null {
  return datagram[0] === TYPE && datagram.length > 1 ? datagram.subarray(1) : null;
}
