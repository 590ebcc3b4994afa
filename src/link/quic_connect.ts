import { type HostPort, parseHostPort } from "../config/address.ts";
import type { TrustedPeer } from "../config/peers.ts";
import { GatewayError } from "../core/errors.ts";
import { growReceiveBuffer } from "../host/receive_buffer.ts";
import { serverName } from "../identity/fingerprint.ts";

/**
 * One name for every version: the version is part of the handshake, where a mismatch gets a clear
 * error, which TLS could not give.
 */
export const ALPN = "causeway";

/** Liveness is judged by own heartbeats; QUIC itself must outlast every outage we ride out. */
export const IDLE_MS_MAX = 15 * 60_000;
/** Keeps lanes without traffic known to the firewalls in between. */
export const KEEP_ALIVE_MS = 10_000;

/** "low-latency" is BBR, the only controller here that does not take random loss for congestion. */
export const TRANSPORT: Deno.QuicTransportOptions = {
  congestionControl: "low-latency",
  maxIdleTimeout: IDLE_MS_MAX,
  keepAliveInterval: KEEP_ALIVE_MS,
  maxConcurrentBidirectionalStreams: 1,
  maxConcurrentUnidirectionalStreams: 0,
};

/** An endpoint to dial from; every bundle has its own, because closing it is the only way to give up. */
export function diallingEndpoint(target: HostPort): Deno.QuicEndpoint {
  const endpoint = endpointFor(target);
  growReceiveBuffer(endpoint.addr.port);
  return endpoint;
}

function endpointFor(target: HostPort): Deno.QuicEndpoint {
  if (/^[\d.]+$/.test(target.hostname)) return new Deno.QuicEndpoint({ hostname: "0.0.0.0" });
  try {
    return new Deno.QuicEndpoint({ hostname: "::" });
  } catch {
    // A machine without IPv6.
    return new Deno.QuicEndpoint({ hostname: "0.0.0.0" });
  }
}

/** Where a peer is reached. @throws {GatewayError} `peer_unreachable` without an address */
export function peerTarget(peer: TrustedPeer): HostPort {
  const target = peer.address === null ? null : parseHostPort(peer.address);
  if (target) return target;
  throw new GatewayError("peer_unreachable", `Cannot dial ${peer.name}: no address is known`, {
    hint: `Give it one with \`causeway trust --peer ${peer.name} --address HOST:PORT\`, ` +
      "or wait until it dials",
  });
}

/**
 * One QUIC connection to a peer; TLS has verified that the other end holds the pinned site's key.
 *
 * @throws {GatewayError} `peer_not_trusted`, `peer_unreachable`
 */
export async function connectPeer(
  endpoint: Deno.QuicEndpoint,
  target: HostPort,
  peer: TrustedPeer,
): Promise<Deno.QuicConn> {
  try {
    return await Deno.connectQuic({
      ...TRANSPORT,
      hostname: target.hostname,
      port: target.port,
      endpoint,
      serverName: serverName(peer.certificate.fingerprint, peer.keyGeneration),
      caCerts: [peer.certificate.pem],
      alpnProtocols: [ALPN],
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const where = `${peer.name} at ${peer.address}`;
    if (reason.includes("certificate")) {
      throw new GatewayError(
        "peer_not_trusted",
        `Cannot trust ${where}: it is not the site with ${peer.certificate.fingerprint}`,
        { hint: "Check the address, or trust the certificate of the site that is there", cause },
      );
    }
    throw new GatewayError("peer_unreachable", `Cannot reach ${where}: ${reason}`, {
      hint: "Check that the gateway runs there and that UDP to its link address passes",
      cause,
    });
  }
}
