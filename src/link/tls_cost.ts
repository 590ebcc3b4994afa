/**
 * What bytes on a TLS connection cost on the wire, reckoned: records of the greatest length, in
 * packets that are all full. What TCP sends again it does not tell.
 */

/** A TLS 1.3 record holds so much, and adds header, type and tag (RFC 8446, section 5). */
const TLS_RECORD_BYTES_MAX = 16 * 1024;
const TLS_OVERHEAD_BYTES = 5 + 1 + 16;
/** With the time stamps that every system of today sends (RFC 7323). */
const TCP_HEADER_BYTES = 20 + 12;
const IPV4_HEADER_BYTES = 20;
const IPV6_HEADER_BYTES = 40;
const MTU_BYTES = 1500;

/** IP bytes of so much on a connection to this address. */
export function tlsPacketBytes(bytes: number, address: string): number {
  const ipBytes = address.includes(":") && !address.includes(".")
    ? IPV6_HEADER_BYTES
    : IPV4_HEADER_BYTES;
  const headerBytes = ipBytes + TCP_HEADER_BYTES;
  const sealedBytes = bytes + Math.ceil(bytes / TLS_RECORD_BYTES_MAX) * TLS_OVERHEAD_BYTES;
  return sealedBytes + Math.ceil(sealedBytes / (MTU_BYTES - headerBytes)) * headerBytes;
}
