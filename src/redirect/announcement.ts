import { formatIp, parseIp } from "../core/ip_address.ts";
import { ethernet, ETHERTYPE_ARP, icmpv6Frame, macBytes, u16 } from "./ethernet.ts";

/** That an address is at a MAC, for those who have it elsewhere in their tables. */
export interface Announcement {
  readonly ip: string;
  /** Whose it is from now on. */
  readonly mac: string;
  /** For one neighbour alone; null: for all of the network. */
  readonly to: string | null;
}

const BROADCAST = "ff:ff:ff:ff:ff:ff";
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
  return icmpv6Frame({
    toMac: to ?? ALL_NODES_MAC,
    fromMac: mac,
    from: address.bytes,
    to: parseIp(ALL_NODES)!.bytes,
    body,
  });
}

/** The same in words, for a dry run. */
export function announcementText({ ip, mac, to }: Announcement, device: string): string {
  const parsed = parseIp(ip)!;
  const what = parsed.family === 4 ? "gratuitous ARP" : "unsolicited neighbour advertisement";
  return `${what}: ${formatIp(parsed)} is at ${mac}, on ${device} to ${to ?? "all"}`;
}
