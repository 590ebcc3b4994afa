import type { PemPair } from "../identity/certificate.ts";
import { dialLanes, type DialOptions, LANE_COUNT } from "./bundle_dial.ts";
import { peerTarget } from "./quic_connect.ts";
import { TlsCarrier } from "./tls_carrier.ts";
import { connectTls, prepareSocket } from "./tls_connect.ts";
import { TlsLane } from "./tls_lane.ts";
import { type TlsStream, tlsStream } from "./tls_stream.ts";

/**
 * Dials a bundle of TLS connections over TCP.
 *
 * @param shown this site's leaf and its key
 * @throws {GatewayError} as `dialLanes`
 */
export async function dialTls(options: DialOptions, shown: PemPair): Promise<TlsCarrier> {
  const { peer, clock, signal, silenceMsMax } = options;
  const target = peerTarget(peer);
  signal.throwIfAborted();
  const givenUp = new AbortController();
  const open = new Set<TlsStream>();
  return await dialLanes<TlsLane, TlsCarrier>(options, {
    protocol: "TCP",
    async connect(laneIndex) {
      const socket = await connectTls(target, peer, shown, givenUp.signal);
      const tuned = prepareSocket(socket);
      const stream = tlsStream(socket);
      open.add(stream);
      void stream.closed.then(() => open.delete(stream));
      return { stream, lane: new TlsLane(laneIndex, stream, tuned) };
    },
    refuse: ({ stream }, reason) => stream.abort(reason),
    newCarrier: (peerIncarnation) =>
      new TlsCarrier({
        peerName: peer.name,
        peerIncarnation,
        laneCount: LANE_COUNT,
        clock,
        silenceMsMax,
        onGone: () => givenUp.abort(new Error("the bundle is closed")),
      }),
    giveUp() {
      givenUp.abort(new Error("the dial was given up"));
      for (const stream of open) stream.abort("the dial was given up");
    },
  });
}
