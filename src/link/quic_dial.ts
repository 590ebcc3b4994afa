import { dialLanes, type DialOptions, LANE_COUNT } from "./bundle_dial.ts";
import { QuicCarrier } from "./quic_carrier.ts";
import { connectPeer, diallingEndpoint, peerTarget } from "./quic_connect.ts";
import { QuicLane } from "./quic_lane.ts";
import { quicStream } from "./quic_stream.ts";

/**
 * Dials a bundle of QUIC connections.
 *
 * @throws {GatewayError} as `dialLanes`
 */
export async function dialQuic(options: DialOptions): Promise<QuicCarrier> {
  const { peer, clock, signal, silenceMsMax } = options;
  const target = peerTarget(peer);
  signal.throwIfAborted();
  const endpoint = diallingEndpoint(target);
  return await dialLanes<QuicLane, QuicCarrier>(options, {
    protocol: "UDP",
    async connect(laneIndex) {
      const conn = await connectPeer(endpoint, target, peer);
      const stream = quicStream(await conn.createBidirectionalStream());
      return { stream, lane: new QuicLane(laneIndex, conn, stream) };
    },
    refuse: ({ conn }, reason) => conn.close({ closeCode: 1, reason }),
    newCarrier: (peerIncarnation, lanes) =>
      new QuicCarrier({
        peerName: peer.name,
        peerIncarnation,
        laneCount: LANE_COUNT,
        clock,
        silenceMsMax,
        onGone: () => void closeLater(endpoint, lanes.map(({ conn }) => conn)),
      }),
    giveUp: () => endpoint.close(),
  });
}

/** The closing packets must leave before the socket does. */
async function closeLater(endpoint: Deno.QuicEndpoint, conns: Deno.QuicConn[]): Promise<void> {
  await Promise.allSettled(conns.map((conn) => conn.closed));
  endpoint.close();
}
