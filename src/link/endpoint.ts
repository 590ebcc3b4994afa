import { formatHostPort, type HostPort, parseHostPort } from "../config/address.ts";
import { type Config, loadConfig } from "../config/config.ts";
import { loadPeers, peersNamed } from "../config/peers.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { growReceiveBuffer } from "../host/receive_buffer.ts";
import { keysInMemory, type KnownKeys } from "../identity/known_keys.ts";
import { loadIdentity, type SiteIdentity } from "../identity/site_identity.ts";
import type { PemPair } from "../identity/certificate.ts";
import { PROTOCOL_VERSION } from "../wire/handshake.ts";
import type { Carrier, CarrierEndpoint } from "./carrier.ts";
import { CertificateChoice } from "./certificate_choice.ts";
import type { OwnSide } from "./handshake_run.ts";
import { type ContactRefusal, QuicAcceptor } from "./quic_accept.ts";
import { SILENCE_MS_MAX } from "./quic_carrier.ts";
import { ALPN, TRANSPORT } from "./quic_connect.ts";
import { dialQuic } from "./quic_dial.ts";
import { TlsAcceptor } from "./tls_accept.ts";
import { dialTls } from "./tls_dial.ts";
import { listenTls, type TlsContacts, type TlsListener } from "./tls_listener.ts";

/** A port that is free for UDP may be taken for TCP: tries to find one that is free for both. */
const FREE_PORT_TRIES = 16;

export interface EndpointOptions {
  readonly config: Config;
  /** Names this process, anew at every start. */
  readonly incarnation: string;
  readonly clock: Clock;
  readonly audit: (kind: string, body: Record<string, unknown>) => void;
  /** What is known of the peers' keys; default: nothing is from before. */
  readonly keys?: KnownKeys;
  /** Other than our own in tests only. */
  readonly protocolVersion?: number;
  /** A bundle that heard nothing for so long is given up; default `SILENCE_MS_MAX`. */
  readonly silenceMsMax?: number;
}

/**
 * Opens the link address on UDP (QUIC) and TCP (TLS, which also shows the site's certificate to
 * whoever asks). Whether both take peers is the configuration's choice.
 *
 * @throws {GatewayError} `address_in_use`, `certificate_invalid`, `config_invalid`
 */
export async function openEndpoint(options: EndpointOptions): Promise<CarrierEndpoint> {
  const { config, clock, audit, silenceMsMax = SILENCE_MS_MAX, keys = keysInMemory() } = options;
  let identity = await loadIdentity(config);
  let shown = await identity.issueLeaf();
  const certificates = new CertificateChoice();
  const own: OwnSide = {
    get identity() {
      return identity;
    },
    keys,
    site: config.site,
    incarnation: options.incarnation,
    version: options.protocolVersion ?? PROTOCOL_VERSION,
  };
  const acceptListeners: ((carrier: Carrier) => void)[] = [];
  const refusalListeners: ((refusal: ContactRefusal) => void)[] = [];
  const dialled = new Set<Carrier>();
  const refused = (refusal: ContactRefusal) => {
    audit("link.refused", { ...refusal });
    for (const listener of refusalListeners) listener(refusal);
  };
  const accept = {
    own,
    clock,
    silenceMsMax,
    loadPeers: () => loadPeers(config.path),
    onCarrier: (carrier: Carrier) => {
      for (const listener of acceptListeners) listener(carrier);
    },
    onRefusal: refused,
  };
  const tlsAcceptor = new TlsAcceptor({ ...accept, isOpen: config.carrier !== "quic" });
  const { quic, listener, tls, address } = await listenBoth(config, shown, {
    take: (socket) => tlsAcceptor.take(socket),
    onCertificateRefused: (remote, reason) =>
      refused({ remote, code: "handshake_failed", message: `TLS failed: ${reason}` }),
  });
  const quicAcceptor = listener && new QuicAcceptor({ ...accept, listener });
  return {
    address: formatHostPort(address),
    async dial(peerName, signal, kind = "quic") {
      const entries = peersNamed(await loadPeers(config.path), peerName);
      try {
        const carrier = await certificates.dial<Carrier>(entries, (entry) => {
          const keyGeneration = keys.keyGeneration(entry.certificate.fingerprint);
          const peer = { ...entry, keyGeneration };
          const options = { own, peer, clock, signal, silenceMsMax };
          return kind === "quic" ? dialQuic(options) : dialTls(options, shown);
        });
        dialled.add(carrier);
        void carrier.closed.then(() => dialled.delete(carrier));
        return carrier;
      } catch (error) {
        if (error instanceof GatewayError && error.code !== "peer_unreachable") {
          const remote = entries[0].address ?? peerName;
          refused({ remote, code: error.code, message: error.message });
        }
        throw error;
      }
    },
    async renewIdentity() {
      const next = await loadIdentity(await loadConfig(config.path));
      if (isSameKey(next, identity)) return null;
      shown = await next.issueLeaf();
      tls.show(shown);
      // Only the certificate is another one: the first listener goes on taking what comes in.
      if (listener !== null) listenQuic(quic, shown);
      identity = next;
      return { fingerprint: next.certificate.fingerprint, generation: next.generation };
    },
    onAccept: (listener) => void acceptListeners.push(listener),
    onRefusal: (listener) => void refusalListeners.push(listener),
    async close() {
      await Promise.all([
        quicAcceptor?.close(),
        tlsAcceptor.close(),
        ...[...dialled].map((carrier) => carrier.close("the gateway stops")),
      ]);
      await tls.close();
      quic.close();
    },
  };
}

interface Listening {
  readonly quic: Deno.QuicEndpoint;
  /** Null where UDP takes no peers; the port is held, so that TCP has the same. */
  readonly listener: Deno.QuicListener | null;
  readonly tls: TlsListener;
  readonly address: HostPort;
}

async function listenBoth(
  config: Config,
  shown: PemPair,
  contacts: TlsContacts,
): Promise<Listening> {
  const asked = parseHostPort(config.link) as HostPort;
  for (let tries = asked.port === 0 ? FREE_PORT_TRIES : 1;; tries--) {
    let quic: Deno.QuicEndpoint | null = null;
    try {
      quic = new Deno.QuicEndpoint(asked);
      const address = { hostname: asked.hostname, port: quic.addr.port };
      growReceiveBuffer(address.port);
      const tls = await listenTls(address, shown, contacts);
      const listener = config.carrier === "tls" ? null : listenQuic(quic, shown);
      return { quic, listener, tls, address };
    } catch (cause) {
      const protocol = quic === null ? "UDP" : "TCP";
      quic?.close();
      const isInUse = cause instanceof Error &&
        (cause instanceof Deno.errors.AddrInUse || "code" in cause && cause.code === "EADDRINUSE");
      if (isInUse && tries > 1) continue;
      throw new GatewayError(
        isInUse ? "address_in_use" : "config_invalid",
        `Cannot listen on ${config.link} (${protocol}): ` +
          (isInUse ? "another process does" : cause instanceof Error ? cause.message : cause),
        { hint: "Change `link` in the configuration, or stop the other process", cause },
      );
    }
  }
}

function listenQuic(quic: Deno.QuicEndpoint, shown: PemPair): Deno.QuicListener {
  return quic.listen({
    ...TRANSPORT,
    alpnProtocols: [ALPN],
    cert: shown.certificatePem,
    key: shown.keyPem,
  });
}

function isSameKey(one: SiteIdentity, other: SiteIdentity): boolean {
  return one.certificate.fingerprint === other.certificate.fingerprint &&
    one.keyCertificate?.toHex() === other.keyCertificate?.toHex();
}
