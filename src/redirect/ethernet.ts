/** Parts of Ethernet frames, as lists of bytes. */

export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ICMPV6 = 58;

/** The header of an Ethernet frame. */
export function ethernetHeader(to: string, from: string, type: number): Uint8Array {
  return Uint8Array.from(ethernet(macBytes(to), macBytes(from), type));
}

export function ethernet(to: readonly number[], from: readonly number[], type: number): number[] {
  return [...to, ...from, ...u16(type)];
}

/** An ICMPv6 message between neighbours. */
export interface NeighbourMessage {
  readonly toMac: string;
  readonly fromMac: string;
  /** 16 bytes each. */
  readonly from: ArrayLike<number> & Iterable<number>;
  readonly to: ArrayLike<number> & Iterable<number>;
  /** With two bytes of zero where its checksum belongs. */
  readonly body: readonly number[];
}

/** Its frame, with the checksum (RFC 4443 section 2.3) and the hop limit of neighbours, 255. */
export function icmpv6Frame(
  { toMac, fromMac, from, to, body }: NeighbourMessage,
): Uint8Array<ArrayBuffer> {
  const length = u16(body.length);
  const sum = checksum([...from, ...to, ...u16(0), ...length, ...u16(0), ...u16(ICMPV6), ...body]);
  return Uint8Array.from([
    ...ethernet(macBytes(toMac), macBytes(fromMac), ETHERTYPE_IPV6),
    ...[0x60, 0, 0, 0, ...length, ICMPV6, 255, ...from, ...to],
    ...[...body.slice(0, 2), ...u16(sum), ...body.slice(4)],
  ]);
}

/** The Internet checksum (RFC 1071) of an even or odd number of bytes. */
export function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes[at] * 256 + (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

export function macBytes(mac: string): number[] {
  return mac.split(":").map((part) => parseInt(part, 16));
}

export function macText(bytes: Iterable<number>): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

export function u16(value: number): number[] {
  return [value >> 8, value & 255];
}
