import type { TLSSocket } from "node:tls";
import { formatHostPort } from "../config/address.ts";
import type { TrustedPeer } from "../config/peers.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { isIssuedBy } from "../identity/certificate.ts";
import { encodeRefusal, handshakeFailed } from "../wire/handshake.ts";
import { BundleTable } from "./bundle_table.ts";
import { acceptHandshake, type OwnSide, type ProvenPeer } from "./handshake_run.ts";
import { type ContactRefusal, HANDSHAKE_MS_MAX } from "./quic_accept.ts";
import { TlsCarrier } from "./tls_carrier.ts";
import { peerLeaf, prepareSocket } from "./tls_connect.ts";
import { TlsLane } from "./tls_lane.ts";
import { type TlsStream, tlsStream } from "./tls_stream.ts";

/** How long a refused side is given to read why. */
const REFUSAL_LINGER_MS = 1_000;

export interface TlsAcceptOptions {
  readonly own: OwnSide;
  readonly loadPeers: () => Promise<TrustedPeer[]>;
  readonly clock: Clock;
  readonly silenceMsMax: number;
  /** False: every peer is refused, with the reason. */
  readonly isOpen: boolean;
  readonly onCarrier: (carrier: TlsCarrier) => void;
  readonly onRefusal: (refusal: ContactRefusal) => void;
}

/** Takes TLS connections, proves who they are and puts them together to bundles. */
export class TlsAcceptor {
  readonly #options: TlsAcceptOptions;
  readonly #bundles: BundleTable<TlsLane, TlsCarrier>;

  constructor(options: TlsAcceptOptions) {
    this.#options = options;
    this.#bundles = new BundleTable(({ peer, hello }, onGone) =>
      new TlsCarrier({
        peerName: peer.name,
        peerIncarnation: hello.incarnation,
        laneCount: hello.laneCount,
        clock: options.clock,
        silenceMsMax: options.silenceMsMax,
        onGone,
      })
    );
  }

  /** Takes a connection whose TLS handshake is done. Resolves, never rejects, with its fate. */
  async take(socket: TLSSocket): Promise<"joined" | "refused"> {
    const { clock, onCarrier, onRefusal } = this.#options;
    const remote = remoteOf(socket);
    const stream = tlsStream(socket);
    const limit = new AbortController();
    const timeout = clock.sleep(HANDSHAKE_MS_MAX, limit.signal).then(() => {
      throw handshakeFailed(`no proof within ${HANDSHAKE_MS_MAX} ms`);
    });
    try {
      const leaf = peerLeaf(socket);
      const proven = this.#prove(stream, leaf);
      proven.catch(() => {});
      const peer = await Promise.race([proven, timeout]);
      const lane = new TlsLane(peer.hello.laneIndex, stream, prepareSocket(socket));
      const ready = this.#bundles.join(peer, lane);
      if (ready !== null) onCarrier(ready);
      return "joined";
    } catch (thrown) {
      // What is no refusal of ours is the transport's: the caller went away, or never spoke.
      const error = thrown instanceof GatewayError
        ? thrown
        : handshakeFailed(thrown instanceof Error ? thrown.message : String(thrown), thrown);
      onRefusal({ remote, code: error.code, message: error.message });
      stream.end();
      const linger = new AbortController();
      const waited = clock.sleep(REFUSAL_LINGER_MS, linger.signal).catch(() => {});
      await Promise.race([stream.closed, waited]);
      linger.abort();
      stream.abort(error.code);
      return "refused";
    } finally {
      limit.abort();
      timeout.catch(() => {});
    }
  }

  async close(): Promise<void> {
    await this.#bundles.close();
  }

  async #prove(stream: TlsStream, leaf: Uint8Array | null): Promise<ProvenPeer> {
    const { own, isOpen } = this.#options;
    if (isOpen) return await acceptHandshake(stream, own, () => this.#peersOf(leaf));
    const error = handshakeFailed(`${own.site} takes peers over QUIC only (UDP)`);
    await stream.write(encodeRefusal(error)).catch(() => {});
    throw error;
  }

  /** The trusted peers, of those that have issued the certificate which this connection showed. */
  async #peersOf(leaf: Uint8Array | null): Promise<TrustedPeer[]> {
    const peers = await this.#options.loadPeers();
    return leaf === null ? [] : peers.filter((peer) => isIssuedBy(leaf, peer.certificate.pem));
  }
}

/** `HOST:PORT` of the other end. */
export function remoteOf(socket: TLSSocket): string {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined) return "an unknown address";
  return formatHostPort({ hostname: remoteAddress, port: remotePort });
}
