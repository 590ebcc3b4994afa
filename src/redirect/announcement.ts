import { formatIp, parseIp } from "../core/ip_address.ts";

/** That an address is at a MAC, for those who have it elsewhere in their tables. */
export interface Announcement {
  readonly ip: string;
  /** Whose it is from now on. */
  readonly mac: string;
  /** For one neighbour alone; null: for all of the network. */
  readonly to: string | null;
}

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
/** All nodes of the link (RFC 4291 section 2.7.1), and its MAC (RFC 2464 section 7). */
const ALL_NODES = "ff02::1";
const ALL_NODES_MAC = "33:33:00:00:00:01";
/** Neighbours take what it says over what they know (RFC 4861 section 4.4). */
const FLAG_OVERRIDE = 0x20;
const FLAG_ROUTER = 0x80;

/**
 * The Ethernet frame of an announcement: an ARP request for its own address (RFC 5227 section 3) or
 * an unsolicited neighbour advertisement (RFC 4861 section 7.2.6).
 *
 * @param isRouter the address is a router's: without the flag its neighbours drop it as such
 */
export function announcementFrame(
  { ip, mac, to }: Announcement,
  isRouter = false,
): Uint8Array<ArrayBuffer> {
  const address = parseIp(ip)!;
  const from = macBytes(mac);
  if (address.family === 4) {
    return Uint8Array.from([
      ...ethernet(macBytes(to ?? BROADCAST), from, ETHERTYPE_ARP),
      ...u16(1), // Ethernet
      ...u16(0x0800),
      6, // MAC length
      4, // address length
      ...u16(1), // request
      ...from,
      ...address.bytes,
      ...Array(6).fill(0),
      ...address.bytes,
    ]);
  }
  const target = parseIp(ALL_NODES)!.bytes;
  const body = [
    NEIGHBOUR_ADVERTISEMENT,
    0,
    ...u16(0), // checksum
    FLAG_OVERRIDE | (isRouter ? FLAG_ROUTER : 0),
    0,
    0,
    0,
    ...address.bytes,
    2, // option: target link-layer address
    1,
    ...from,
  ];
  const sum = checksum([
    ...address.bytes,
    ...target,
    ...u16(0),
    ...u16(body.length),
    ...u16(0),
    ...u16(ICMPV6),
    ...body,
  ]);
  [body[2], body[3]] = u16(sum);
  return Uint8Array.from([
    ...ethernet(macBytes(to ?? ALL_NODES_MAC), from, ETHERTYPE_IPV6),
    0x60,
    0,
    0,
    0,
    ...u16(body.length),
    ICMPV6,
    255, // hop limit: neighbours drop anything else
    ...address.bytes,
    ...target,
    ...body,
  ]);
}

/** The same in words, for a dry run. */
export function announcementText({ ip, mac, to }: Announcement, device: string): string {
  const parsed = parseIp(ip)!;
  const what = parsed.family === 4 ? "gratuitous ARP" : "unsolicited neighbour advertisement";
  return `${what}: ${formatIp(parsed)} is at ${mac}, on ${device} to ${to ?? "all"}`;
}

/** The Internet checksum (RFC 1071) of an even or odd number of bytes. */
function checksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes[at] * 256 + (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

/** The header of an Ethernet frame. */
export function ethernetHeader(to: string, from: string, type: number): Uint8Array {
  return Uint8Array.from(ethernet(macBytes(to), macBytes(from), type));
}

function ethernet(to: readonly number[], from: readonly number[], type: number): number[] {
  return [...to, ...from, ...u16(type)];
}

function macBytes(mac: string): number[] {
  return mac.split(":").map((part) => parseInt(part, 16));
}

function u16(value: number): number[] {
  return [value >> 8, value & 255];
}
