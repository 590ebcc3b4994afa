import { createServer, type TLSSocket } from "node:tls";
import type { HostPort } from "../config/address.ts";
import type { PemPair } from "../identity/certificate.ts";
import { ALPN } from "./quic_connect.ts";

/** Connections at once that have not proved who they are; more are closed unseen. */
export const TLS_STRANGERS_MAX = 64;
/** Time for the TLS handshake of one connection. */
export const TLS_HANDSHAKE_MS_MAX = 10_000;
/** Time until a connection has to be a peer's, or over. */
export const TLS_STRANGER_MS_MAX = 25_000;

/** The TCP side of the link address. */
export interface TlsListener {
  readonly port: number;
  /** Shows these to connections that come from now on. */
  show(shown: PemPair): void;
  close(): Promise<void>;
}

export interface TlsContacts {
  /** Takes a connection that speaks our protocol; resolves, never rejects, once it is a peer's. */
  take(socket: TLSSocket): Promise<"joined" | "refused">;
  /** A gateway broke off because of the certificate that it was shown. */
  onCertificateRefused(remote: string, reason: string): void;
}

/**
 * Listens with TLS. Who names our protocol (ALPN) is asked for a certificate and handed over;
 * everyone else is shown leaf and site certificate, and that is the end: it is all that
 * `trust --fingerprint` needs, and the certificates are public.
 *
 * @throws {Error} `EADDRINUSE` and whatever else the system says
 */
export async function listenTls(
  address: HostPort,
  shown: PemPair,
  contacts: TlsContacts,
): Promise<TlsListener> {
  const sockets = new Set<{ destroy(): void }>();
  /** By address and port, because TLS gives its own object for the same connection. */
  const strangers = new Set<string>();
  const server = createServer({
    cert: shown.certificatePem,
    key: shown.keyPem,
    minVersion: "TLSv1.3",
    handshakeTimeout: TLS_HANDSHAKE_MS_MAX,
    requestCert: true,
    // Whose it is, is looked at by `contacts`: the peers may change, and strangers may look.
    rejectUnauthorized: false,
    ALPNProtocols: [ALPN],
  }, (socket) => {
    socket.on("error", () => socket.destroy());
    if (socket.alpnProtocol === ALPN) {
      const key = keyOf(socket);
      return void contacts.take(socket).then((fate) => {
        if (fate === "joined") strangers.delete(key);
      });
    }
    // Whatever the client says is read and dropped, so that its end is seen.
    socket.resume();
    socket.end();
  });
  server.on("connection", (raw) => {
    const key = keyOf(raw);
    if (strangers.size >= TLS_STRANGERS_MAX) return raw.destroy();
    strangers.add(key);
    sockets.add(raw);
    const timer = setTimeout(() => strangers.has(key) && raw.destroy(), TLS_STRANGER_MS_MAX);
    raw.on("close", () => {
      clearTimeout(timer);
      strangers.delete(key);
      sockets.delete(raw);
    });
  });
  server.on("tlsClientError", (error, socket) => {
    // A client that breaks off its handshake is no news, but one that was shown the wrong
    // certificate is a gateway at the wrong address.
    if (/certificate|unknown_?ca/i.test(error.message)) {
      contacts.onCertificateRefused(keyOf(socket), error.message);
    }
    socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(address.port, address.hostname, () => {
      server.off("error", reject);
      server.on("error", () => {});
      resolve();
    });
  });
  const bound = server.address();
  return {
    port: bound !== null && typeof bound === "object" ? bound.port : address.port,
    show: ({ certificatePem, keyPem }) =>
      server.setSecureContext({ cert: certificatePem, key: keyPem, minVersion: "TLSv1.3" }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function keyOf(socket: { remoteAddress?: string; remotePort?: number }): string {
  return `${socket.remoteAddress}:${socket.remotePort}`;
}
