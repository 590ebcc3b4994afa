/** ICMP echo (RFC 792), as far as a probe needs it. */

export const ECHO_REQUEST = 8;
export const ECHO_REPLY = 0;
/** Type, code, checksum, identifier, sequence number, then our own 32-bit number. */
export const ECHO_BYTES = 12;

/** An echo request; `number` travels in the payload, its low half as the sequence number. */
export function encodeEcho(identifier: number, number: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(ECHO_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, ECHO_REQUEST);
  view.setUint16(4, identifier);
  view.setUint16(6, number & 0xffff);
  view.setUint32(8, number);
  view.setUint16(2, checksum(bytes));
  return bytes;
}

/** The number of an echo reply to us in an IPv4 packet as a raw socket gives it, else null. */
export function decodeReply(packet: Uint8Array, identifier: number): number | null {
  if (packet.length < 20) return null;
  const headerBytes = (packet[0] & 0x0f) * 4;
  if (packet.length < headerBytes + ECHO_BYTES) return null;
  const view = new DataView(packet.buffer, packet.byteOffset + headerBytes);
  if (view.getUint8(0) !== ECHO_REPLY || view.getUint16(4) !== identifier) return null;
  return view.getUint32(8);
}

/** The Internet checksum (RFC 1071) of an even number of bytes. */
export function checksum(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
