import { connect } from "node:tls";
import { GatewayError } from "../core/errors.ts";
import { formatHostPort, type HostPort } from "../config/address.ts";

/** Certificates of one chain that are looked at; ours has two. */
const CHAIN_LENGTH_MAX = 8;
export const FETCH_MS_MAX = 10_000;

/**
 * The certificates that a TLS server shows, leaf first, in DER form. Nothing is trusted here: the
 * caller compares fingerprints, which name their certificate whoever delivered it.
 *
 * @throws {GatewayError} `peer_unreachable`
 */
export async function fetchCertificateChain(
  address: HostPort,
  limitMs = FETCH_MS_MAX,
): Promise<Uint8Array[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array[]>();
  const socket = connect({
    host: address.hostname,
    port: address.port,
    servername: "unknown.invalid",
    rejectUnauthorized: false,
  });
  const timer = setTimeout(() => reject(new Error(`no answer within ${limitMs} ms`)), limitMs);
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("it closed the connection")));
  socket.on("secureConnect", () => {
    const chain: Uint8Array[] = [];
    let certificate = socket.getPeerCertificate(true);
    // A self-signed certificate is its own issuer: the chain ends where it repeats.
    while (certificate?.raw && chain.length < CHAIN_LENGTH_MAX) {
      chain.push(new Uint8Array(certificate.raw));
      if (certificate.issuerCertificate === certificate) break;
      certificate = certificate.issuerCertificate;
    }
    resolve(chain);
  });
  try {
    return await promise;
  } catch (cause) {
    throw new GatewayError(
      "peer_unreachable",
      `Cannot fetch the certificate of ${formatHostPort(address)}: ` +
        (cause instanceof Error ? cause.message : String(cause)),
      { hint: "Check that the gateway runs there and that TCP to its link address passes", cause },
    );
  } finally {
    clearTimeout(timer);
    socket.on("error", () => {});
    socket.destroy();
  }
}
