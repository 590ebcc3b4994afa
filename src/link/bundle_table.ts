import { handshakeFailed } from "../wire/handshake.ts";
import type { Bundle } from "./bundle_dial.ts";
import type { ProvenPeer } from "./handshake_run.ts";

/** Bundles of all peers at once; a gateway dials one a second while its peer is silent. */
export const BUNDLES_MAX = 256;

/** Accepted bundles of one kind of carrier, put together from connections as these prove themselves. */
export class BundleTable<Lane, C extends Bundle<Lane>> {
  readonly #bundles = new Map<string, C>();
  readonly #newCarrier: (proven: ProvenPeer, onGone: () => void) => C;
  #isClosed = false;

  /** @param newCarrier makes the carrier of a bundle's first lane */
  constructor(newCarrier: (proven: ProvenPeer, onGone: () => void) => C) {
    this.#newCarrier = newCarrier;
  }

  /**
   * Adds a connection to its bundle.
   *
   * @returns the carrier when this made it ready; null when it was before or is not yet
   * @throws {GatewayError} `handshake_failed` for a lane that cannot belong to it
   */
  join(proven: ProvenPeer, lane: Lane): C | null {
    const { peer, hello } = proven;
    const key = `${peer.certificate.fingerprint} ${hello.incarnation} ${hello.bundleId.toHex()}`;
    const known = this.#bundles.get(key);
    if (this.#isClosed || (!known && this.#bundles.size >= BUNDLES_MAX)) {
      throw handshakeFailed(this.#isClosed ? "the gateway stops" : `${BUNDLES_MAX} bundles exist`);
    }
    if (known && (known.laneCount !== hello.laneCount || known.hasLane(hello.laneIndex))) {
      throw handshakeFailed(`lane ${hello.laneIndex} of this bundle exists already`);
    }
    const carrier = known ?? this.#newCarrier(proven, () => this.#bundles.delete(key));
    this.#bundles.set(key, carrier);
    const wasReady = carrier.isReady;
    carrier.join(lane);
    return carrier.isReady && !wasReady ? carrier : null;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all(
      [...this.#bundles.values()].map((carrier) => carrier.close("the gateway stops")),
    );
  }
}
