import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { parseHostPort } from "../config/address.ts";
import { GatewayError } from "../core/errors.ts";

/** A UDP address with its host as an IP address. */
export interface UdpAddress {
  readonly transport: "udp";
  readonly hostname: string;
  readonly port: number;
}

/**
 * Reads `HOST:PORT` or `[IPV6]:PORT` and looks a host name up once, so that no packet has to.
 *
 * @throws {GatewayError} `address_invalid`
 */
export async function resolveAddress(text: string): Promise<UdpAddress> {
  const parsed = parseHostPort(text);
  if (!parsed) {
    throw new GatewayError("address_invalid", `Cannot read address ${text}: it is not HOST:PORT`, {
      hint: "Give something like 127.0.0.1:4433 or [::1]:4433; port 0 to listen on any free one",
    });
  }
  const address = { transport: "udp", ...parsed } as const;
  if (isIP(address.hostname)) return address;
  try {
    return { ...address, hostname: (await lookup(address.hostname)).address };
  } catch (cause) {
    throw new GatewayError("address_invalid", `Cannot look up ${address.hostname} of ${text}`, {
      hint: "Give an IP address, or a name that this machine resolves",
      cause,
    });
  }
}

/** IP and UDP headers of a packet to this address. */
export function headerBytes(address: UdpAddress): number {
  return isIP(address.hostname) === 6 ? 48 : 28;
}

/** Where to bind a socket that talks to `peer`: the same family, loopback stays on loopback. */
export function localHostFor(peer: UdpAddress): string {
  if (isIP(peer.hostname) === 6) return peer.hostname === "::1" ? "::1" : "::";
  return peer.hostname.startsWith("127.") ? "127.0.0.1" : "0.0.0.0";
}
