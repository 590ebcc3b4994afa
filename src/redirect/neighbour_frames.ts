import { formatIp, parseIp } from "../core/ip_address.ts";
import {
  ethernet,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV6,
  ICMPV6,
  icmpv6Frame,
  macBytes,
  macText,
  u16,
} from "./ethernet.ts";

const BROADCAST = "ff:ff:ff:ff:ff:ff";
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
/** An answer to a question, not an announcement (RFC 4861 section 4.4). */
const FLAG_SOLICITED = 0x40;
const ARP_ANSWER = 2;
/** Ethernet header and ARP for IPv4; Ethernet, IPv6 and an advertisement without options. */
const ARP_BYTES = 14 + 28;
const ADVERTISEMENT_BYTES = 14 + 40 + 24;

/** Who has said that an address is theirs. */
export interface NeighbourAnswer {
  /** In canonical form. */
  readonly ip: string;
  readonly mac: string;
}

/**
 * The frame that asks all of a network who has an address: an ARP probe, which needs no address of the
 * asking host (RFC 5227 section 2.1.1), or a neighbour solicitation (RFC 4861 section 4.3) from the
 * link-local address that belongs to its MAC (RFC 4291 appendix A).
 */
export function neighbourQuestion(ip: string, hostMac: string): Uint8Array<ArrayBuffer> {
  const address = parseIp(ip)!;
  const host = macBytes(hostMac);
  if (address.family === 4) {
    return Uint8Array.from([
      ...ethernet(macBytes(BROADCAST), host, ETHERTYPE_ARP),
      ...[...u16(1), ...u16(0x0800), 6, 4, ...u16(1)],
      ...[...host, 0, 0, 0, 0],
      ...[0, 0, 0, 0, 0, 0, ...address.bytes],
    ]);
  }
  const low = [...address.bytes].slice(13);
  return icmpv6Frame({
    toMac: `33:33:ff:${macText(low)}`,
    fromMac: hostMac,
    from: [
      0xfe,
      0x80,
      0,
      0,
      0,
      0,
      0,
      0,
      host[0] ^ 2,
      host[1],
      host[2],
      0xff,
      0xfe,
      ...host.slice(3),
    ],
    to: [...parseIp("ff02::1:ff00:0")!.bytes.slice(0, 13), ...low],
    body: [
      ...[NEIGHBOUR_SOLICITATION, 0, ...u16(0), 0, 0, 0, 0, ...address.bytes],
      ...[1, 1, ...host], // option: the asker's link-layer address
    ],
  });
}

/**
 * Reads a frame of the network: an ARP answer, or an advertisement that somebody has asked for. Null
 * for everything else, cut or made up.
 *
 * @param frame from the Ethernet header on; not kept
 */
export function parseNeighbourAnswer(frame: Uint8Array): NeighbourAnswer | null {
  if (frame.length < ARP_BYTES) return null;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const mac = macText(frame.subarray(6, 12));
  switch (view.getUint16(12)) {
    case ETHERTYPE_ARP: {
      const isIpv4 = view.getUint16(14) === 1 && view.getUint16(16) === 0x0800 &&
        view.getUint16(18) === 0x0604;
      if (!isIpv4 || view.getUint16(20) !== ARP_ANSWER) return null;
      return { ip: textOf(4, frame.subarray(28, 32)), mac };
    }
    case ETHERTYPE_IPV6: {
      if (frame.length < ADVERTISEMENT_BYTES || frame[20] !== ICMPV6) return null;
      // Hop limit 255: it has come from this network (RFC 4861 section 7.1.2).
      if (frame[21] !== 255 || frame[54] !== NEIGHBOUR_ADVERTISEMENT) return null;
      if ((frame[58] & FLAG_SOLICITED) === 0) return null;
      return { ip: textOf(6, frame.subarray(62, 78)), mac };
    }
    default:
      return null;
  }
}

function textOf(family: 4 | 6, bytes: Uint8Array): string {
  return formatIp({ family, bytes });
}
