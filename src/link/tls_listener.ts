import { createServer, type TLSSocket } from "node:tls";
import type { HostPort } from "../config/address.ts";
import type { PemPair } from "../identity/certificate.ts";

/** Connections that may be open at once: each lives for one handshake. */
export const TLS_CONNECTIONS_MAX = 64;
/** Time for the handshake of one connection. */
export const TLS_HANDSHAKE_MS_MAX = 10_000;

/** The TCP side of the link address. */
export interface TlsListener {
  readonly port: number;
  /** Shows these to connections that come from now on. */
  show(shown: PemPair): void;
  close(): Promise<void>;
}

/**
 * Listens with TLS and shows leaf and site certificate to everyone who asks, then closes: that is
 * all `trust --fingerprint` needs, and the certificates are public.
 *
 * @throws {Error} `EADDRINUSE` and whatever else the system says
 */
export async function listenTls(address: HostPort, shown: PemPair): Promise<TlsListener> {
  const sockets = new Set<TLSSocket>();
  const server = createServer({
    cert: shown.certificatePem,
    key: shown.keyPem,
    minVersion: "TLSv1.3",
    handshakeTimeout: TLS_HANDSHAKE_MS_MAX,
  }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    // Whatever the client says is read and dropped, so that its end is seen.
    socket.resume();
    socket.end();
  });
  server.maxConnections = TLS_CONNECTIONS_MAX;
  // A client that breaks off its handshake is no news.
  server.on("tlsClientError", () => {});
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
