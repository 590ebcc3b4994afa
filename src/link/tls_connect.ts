import { connect, type TLSSocket } from "node:tls";
import { type HostPort } from "../config/address.ts";
import type { TrustedPeer } from "../config/peers.ts";
import { GatewayError } from "../core/errors.ts";
import { isIssuedBy, type PemPair } from "../identity/certificate.ts";
import { serverName } from "../identity/fingerprint.ts";
import { ALPN } from "./quic_connect.ts";
import { tcpTuner, type TunedSocket, UNTUNED } from "./tcp_tuning.ts";

/** Keeps lanes without traffic known to the firewalls in between. */
const KEEP_ALIVE_MS = 10_000;

/** What `verifyPeer` gives for a certificate that is not the pinned site's. */
const NOT_PINNED = "the certificate is of another site";

/** The leaf certificate that the other end of a TLS connection showed, DER; null without one. */
export function peerLeaf(socket: TLSSocket): Uint8Array | null {
  const { raw } = socket.getPeerCertificate();
  return raw ? new Uint8Array(raw) : null;
}

/** Sets the options of a socket that is to carry records: BBR where this process may. */
export function prepareSocket(socket: TLSSocket): TunedSocket {
  // A chunk is what should leave at once; the kernel need not wait for more.
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return tcpTuner()?.tune(socket) ?? UNTUNED;
}

/**
 * One TLS 1.3 connection to a peer, with this site's leaf shown and the peer's verified: it must be
 * one that the pinned site has issued. The runtime adds its default roots to `ca`, so the issuer is
 * looked at once more.
 *
 * @param own leaf and key of this site
 * @throws {GatewayError} `peer_not_trusted`, `peer_unreachable`; the reason of `signal`
 */
export async function connectTls(
  target: HostPort,
  peer: TrustedPeer,
  own: PemPair,
  signal: AbortSignal,
): Promise<TLSSocket> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({
    host: target.hostname,
    port: target.port,
    servername: serverName(peer.certificate.fingerprint, peer.keyGeneration),
    ca: [peer.certificate.pem],
    cert: own.certificatePem,
    key: own.keyPem,
    minVersion: "TLSv1.3",
    ALPNProtocols: [ALPN],
    rejectUnauthorized: true,
  });
  const onAbort = () => reject(signal.reason);
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("it closed the connection")));
  socket.on("secureConnect", () => resolve());
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await promise;
    const leaf = peerLeaf(socket);
    if (leaf === null || !isIssuedBy(leaf, peer.certificate.pem)) throw new Error(NOT_PINNED);
    return socket;
  } catch (cause) {
    socket.destroy();
    if (signal.aborted) throw signal.reason;
    throw connectError(cause, peer);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function connectError(cause: unknown, peer: TrustedPeer): GatewayError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const where = `${peer.name} at ${peer.address}`;
  // "self-signed certificate in certificate chain", "… is not in the cert's altnames", and ours.
  if (/\bcert/i.test(reason)) {
    return new GatewayError(
      "peer_not_trusted",
      `Cannot trust ${where}: it is not the site with ${peer.certificate.fingerprint}`,
      { hint: "Check the address, or trust the certificate of the site that is there", cause },
    );
  }
  return new GatewayError("peer_unreachable", `Cannot reach ${where}: ${reason}`, {
    hint: "Check that the gateway runs there and that TCP to its link address passes",
    cause,
  });
}
