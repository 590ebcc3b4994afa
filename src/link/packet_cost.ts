/**
 * What bytes on a lane cost on the wire. QUIC does not tell what it sends, so it is reckoned: packets
 * of the size that the runtime says a datagram may have, each with headers, and as many again as the
 * path loses.
 */

/** IPv4 or IPv6, and UDP. */
const IPV4_UDP_BYTES = 28;
const IPV6_UDP_BYTES = 48;
/**
 * Of a packet with a datagram of the greatest length: short header with a connection id of 8 and a
 * packet number of up to 4 bytes, the tag of 16, and the frame's type and length (RFC 9000, section
 * 17.3.1; RFC 9221, section 4; what quinn-proto takes off).
 */
const DATAGRAM_PACKET_BYTES = 38;
/** More than half is an outage, not a path. */
const LOSS_RATIO_MAX = 0.5;

/** How packets of a connection are now. */
export interface PacketShape {
  /** The most that a datagram may have, by the runtime. */
  readonly datagramBytesMax: number;
  /** Stream bytes that fit into one packet. */
  readonly streamBytes: number;
  /** Of IP and UDP. */
  readonly headerBytes: number;
  /** Share of packets that get lost, and are sent again. */
  readonly lossRatio: number;
}

/** Headers of IP and UDP towards an address; one of IPv4 in an IPv6 socket is still IPv4. */
export function ipHeaderBytes(address: string): number {
  return /^(::ffff:)?[\d.]+$/i.test(address) ? IPV4_UDP_BYTES : IPV6_UDP_BYTES;
}

/**
 * IP bytes of one chunk on the wire.
 *
 * @param bytes with its header, and the mark in front of it
 */
export function chunkPacketBytes(bytes: number, shape: PacketShape): number {
  const { datagramBytesMax, streamBytes, headerBytes, lossRatio } = shape;
  const overhead = datagramBytesMax + DATAGRAM_PACKET_BYTES - streamBytes;
  const packets = Math.ceil(bytes / streamBytes);
  const onceBytes = bytes + packets * (overhead + headerBytes);
  return onceBytes / (1 - Math.min(LOSS_RATIO_MAX, Math.max(0, lossRatio)));
}
