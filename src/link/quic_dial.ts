import type { TrustedPeer } from "../config/peers.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { BUNDLE_ID_BYTES, handshakeFailed } from "../wire/handshake.ts";
import { dialHandshake, type OwnSide, type ProvenPeer } from "./handshake_run.ts";
import { QuicCarrier } from "./quic_carrier.ts";
import { connectPeer, diallingEndpoint, peerTarget } from "./quic_connect.ts";
import { QuicLane } from "./quic_lane.ts";
import { quicStream } from "./quic_stream.ts";

/** One for urgent records and four for bulk: measured best of 1, 2, 4 and 8 at 1 % loss. */
export const LANE_COUNT = 5;
/** Time for connection and handshake of a bundle's first lanes. */
export const DIAL_MS_MAX = 10_000;

export interface DialOptions {
  readonly own: OwnSide;
  readonly peer: TrustedPeer;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly silenceMsMax: number;
}

/**
 * Dials a bundle. It is usable, and returned, as soon as urgent and one bulk lane are; the others
 * join when they are ready.
 *
 * @throws {GatewayError} `peer_unreachable`, `peer_not_trusted`, `protocol_mismatch`,
 *   `handshake_failed`
 */
export async function dialBundle(options: DialOptions): Promise<QuicCarrier> {
  const { own, peer, clock, signal } = options;
  const target = peerTarget(peer);
  signal.throwIfAborted();
  const endpoint = diallingEndpoint(target);
  const bundleId = crypto.getRandomValues(new Uint8Array(BUNDLE_ID_BYTES));
  const result = Promise.withResolvers<QuicCarrier>();
  const timer = new AbortController();
  let carrier: QuicCarrier | null = null;
  const lanes: QuicLane[] = [];
  let pending = LANE_COUNT;

  const fail = (error: unknown) => {
    if (carrier?.isReady) return;
    result.reject(error);
    endpoint.close();
  };
  const newCarrier = (peerIncarnation: string) => {
    const made = new QuicCarrier({
      peerName: peer.name,
      peerIncarnation,
      laneCount: LANE_COUNT,
      clock,
      silenceMsMax: options.silenceMsMax,
      onGone: () => void closeLater(endpoint, lanes.map(({ conn }) => conn)),
    });
    void made.closed.then(({ reason }) => fail(asGatewayError(new Error(reason), peer)));
    return made;
  };
  const joined = (proven: ProvenPeer, lane: QuicLane) => {
    lanes.push(lane);
    carrier ??= newCarrier(proven.hello.incarnation);
    if (proven.hello.incarnation !== carrier.peerIncarnation) {
      lane.conn.close({ closeCode: 1, reason: "the peer has restarted" });
      throw handshakeFailed(`${peer.name} restarted in the middle of it`);
    }
    carrier.join(lane);
    if (carrier.isReady) result.resolve(carrier);
  };
  for (let laneIndex = 0; laneIndex < LANE_COUNT; laneIndex++) {
    void (async () => {
      const conn = await connectPeer(endpoint, target, peer);
      const stream = quicStream(await conn.createBidirectionalStream());
      const lane = { bundleId, laneIndex, laneCount: LANE_COUNT };
      const proven = await dialHandshake(stream, own, peer, lane);
      joined(proven, new QuicLane(laneIndex, conn, stream));
    })().catch((error) => {
      pending--;
      // Without its urgent lane, or with a refusal, the bundle cannot be; else the others suffice.
      const isRefusal = error instanceof GatewayError && error.code !== "peer_unreachable";
      if (laneIndex === 0 || isRefusal || pending <= 1) fail(asGatewayError(error, peer));
    });
  }
  void clock.sleep(DIAL_MS_MAX, timer.signal).then(() => fail(unreachable(peer)), () => {});
  const onAbort = () => fail(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await result.promise;
  } catch (error) {
    (carrier as QuicCarrier | null)?.close("the dial was given up").catch(() => {});
    throw error;
  } finally {
    timer.abort();
    signal.removeEventListener("abort", onAbort);
  }
}

/** The closing packets must leave before the socket does. */
async function closeLater(endpoint: Deno.QuicEndpoint, conns: Deno.QuicConn[]): Promise<void> {
  await Promise.allSettled(conns.map((conn) => conn.closed));
  endpoint.close();
}

function asGatewayError(error: unknown, peer: TrustedPeer): GatewayError {
  if (error instanceof GatewayError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new GatewayError(
    "peer_unreachable",
    `Cannot reach ${peer.name} at ${peer.address}: ${reason}`,
    { hint: "Check the peer's log for the other half of the story", cause: error },
  );
}

function unreachable(peer: TrustedPeer): GatewayError {
  return new GatewayError(
    "peer_unreachable",
    `Cannot reach ${peer.name} at ${peer.address}: no answer within ${DIAL_MS_MAX} ms`,
    { hint: "Check that the gateway runs there and that UDP to its link address passes" },
  );
}
