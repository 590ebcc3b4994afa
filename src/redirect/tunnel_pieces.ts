/**
 * IP packets of a tunnel as packets of the link to the peer (implemented):
 *
 *     { u32 tunnel, u16 number, u8 piece, u8 pieces, bytes of the IP packet }
 *
 * Big-endian. A packet that is longer than the link takes goes in several pieces of one number, so
 * that neither end of a connection has to learn of a smaller MTU while it moves. Pieces that do not
 * all arrive are dropped.
 */
export const PIECE_HEADER_BYTES = 8;
/** A packet of 65535 bytes at the least that a QUIC datagram takes. */
const PIECES_MAX = 64;
/** Packets of which pieces are missing; the oldest is given up for a newer one. */
const OPEN_MAX = 128;
/** Of an IP packet, by its own header. */
const PACKET_BYTES_MAX = 65_535;

/** The pieces of one packet; empty where it cannot be sent at this length. */
export function piecesOf(
  tunnel: number,
  number: number,
  packet: Uint8Array,
  pieceBytesMax: number,
): Uint8Array[] {
  const roomBytes = pieceBytesMax - PIECE_HEADER_BYTES;
  if (roomBytes < 1) return [];
  const pieces = Math.ceil(packet.length / roomBytes);
  if (pieces > PIECES_MAX) return [];
  // Of equal length: a short last piece would cost as much as a long one.
  const eachBytes = Math.ceil(packet.length / pieces);
  return Array.from({ length: pieces }, (_, piece) => {
    const part = packet.subarray(piece * eachBytes, (piece + 1) * eachBytes);
    const bytes = new Uint8Array(PIECE_HEADER_BYTES + part.length);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, tunnel);
    view.setUint16(4, number & 0xffff);
    bytes[6] = piece;
    bytes[7] = pieces;
    bytes.set(part, PIECE_HEADER_BYTES);
    return bytes;
  });
}

/** The tunnel that a packet of the link belongs to; null for what is none. */
export function tunnelOf(bytes: Uint8Array): number | null {
  if (bytes.length <= PIECE_HEADER_BYTES) return null;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

/** Puts the pieces of one tunnel together again. */
export class Assembly {
  readonly #open = new Map<number, { readonly parts: (Uint8Array | null)[]; missing: number }>();

  /**
   * @param bytes a whole piece; not kept where it is all of its packet
   * @returns the packet that it completes, or null
   */
  add(bytes: Uint8Array): Uint8Array | null {
    if (bytes.length <= PIECE_HEADER_BYTES) return null;
    const number = new DataView(bytes.buffer, bytes.byteOffset).getUint16(4);
    const [piece, pieces] = [bytes[6], bytes[7]];
    const part = bytes.subarray(PIECE_HEADER_BYTES);
    if (pieces === 0 || pieces > PIECES_MAX || piece >= pieces) return null;
    if (pieces === 1) return part.length <= PACKET_BYTES_MAX ? part : null;
    let open = this.#open.get(number);
    if (!open || open.parts.length !== pieces) {
      open = { parts: Array(pieces).fill(null), missing: pieces };
      this.#open.delete(number);
      this.#open.set(number, open);
      if (this.#open.size > OPEN_MAX) this.#open.delete(this.#open.keys().next().value!);
    }
    if (open.parts[piece] !== null) return null;
    open.parts[piece] = part.slice();
    if (--open.missing > 0) return null;
    this.#open.delete(number);
    const wholeBytes = open.parts.reduce((sum, each) => sum + each!.length, 0);
    if (wholeBytes > PACKET_BYTES_MAX) return null;
    const whole = new Uint8Array(wholeBytes);
    let at = 0;
    for (const each of open.parts) {
      whole.set(each!, at);
      at += each!.length;
    }
    return whole;
  }
}
