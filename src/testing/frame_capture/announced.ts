import { formatIp } from "../../core/ip_address.ts";

/** An announcement on the wire: that `ip` is at `mac`. */
export interface Announced {
  readonly ip: string;
  readonly mac: string;
}

/** One that was captured, by the computer's clock. */
export interface CapturedFrame extends Announced {
  readonly atWallMs: number;
}

const ETHERNET_BYTES = 14;
const IPV6_BYTES = 40;
const NEIGHBOUR_ADVERTISEMENT = 136;

/**
 * What an Ethernet frame announces: an ARP packet whose sender and target address are the same (RFC
 * 5227), or a neighbour advertisement to all nodes (RFC 4861 section 7.2.6); null for any other. Read
 * by itself, not by the code that makes such frames.
 */
export function announcementOf(frame: Uint8Array): Announced | null {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const mac = (at: number) =>
    [...frame.subarray(at, at + 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  if (frame.length < ETHERNET_BYTES + 28) return null;
  const type = view.getUint16(12);
  if (type === 0x0806) {
    const [sender, target] = [frame.slice(28, 32), frame.slice(38, 42)];
    if (sender.some((byte, n) => byte !== target[n])) return null;
    return { ip: formatIp({ family: 4, bytes: sender }), mac: mac(22) };
  }
  if (type !== 0x86dd || frame.length < ETHERNET_BYTES + IPV6_BYTES + 32) return null;
  const icmp = ETHERNET_BYTES + IPV6_BYTES;
  const isToAll = frame[38] === 0xff && frame[53] === 1;
  if (frame[20] !== 58 || frame[icmp] !== NEIGHBOUR_ADVERTISEMENT || !isToAll) return null;
  const target = frame.slice(icmp + 8, icmp + 24);
  return { ip: formatIp({ family: 6, bytes: target }), mac: mac(icmp + 26) };
}
