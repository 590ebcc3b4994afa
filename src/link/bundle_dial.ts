import type { TrustedPeer } from "../config/peers.ts";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import { BUNDLE_ID_BYTES, handshakeFailed } from "../wire/handshake.ts";
import type { Carrier } from "./carrier.ts";
import { dialHandshake, type OwnSide, type ProvenPeer } from "./handshake_run.ts";
import type { ByteStream } from "./quic_stream.ts";

/** One for urgent records and four for bulk: measured best of 1, 2, 4 and 8 at 1 % loss. */
export const LANE_COUNT = 5;
/** Time for connection and handshake of a bundle's first lanes. */
export const DIAL_MS_MAX = 10_000;

/** What every dial is told. */
export interface DialOptions {
  readonly own: OwnSide;
  readonly peer: TrustedPeer;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly silenceMsMax: number;
}

/** A carrier that is put together from lanes. */
export interface Bundle<Lane> extends Carrier {
  readonly laneCount: number;
  /** True once urgent and bulk records can go. */
  readonly isReady: boolean;
  hasLane(index: number): boolean;
  /** Adds an authenticated connection of this bundle. */
  join(lane: Lane): void;
}

/** How one kind of carrier makes its lanes. */
export interface LaneMaker<Lane, C extends Bundle<Lane>> {
  /** `UDP` or `TCP`, for hints. */
  readonly protocol: string;
  /** Opens one connection; nothing is proven yet. @throws {GatewayError} */
  connect(laneIndex: number): Promise<{ stream: ByteStream; lane: Lane }>;
  /** Ends a connection that does not join. */
  refuse(lane: Lane, reason: string): void;
  /** @param lanes those that have joined, at any time */
  newCarrier(peerIncarnation: string, lanes: readonly Lane[]): C;
  /** Ends every connection of an attempt that is given up. */
  giveUp(): void;
}

/**
 * Dials a bundle. It is usable, and returned, as soon as urgent and one bulk lane are; the others
 * join when they are ready.
 *
 * @throws {GatewayError} `peer_unreachable`, `peer_not_trusted`, `protocol_mismatch`,
 *   `handshake_failed`
 */
export async function dialLanes<Lane, C extends Bundle<Lane>>(
  { own, peer, clock, signal }: DialOptions,
  maker: LaneMaker<Lane, C>,
): Promise<C> {
  const bundleId = crypto.getRandomValues(new Uint8Array(BUNDLE_ID_BYTES));
  const result = Promise.withResolvers<C>();
  const timer = new AbortController();
  let carrier: C | null = null;
  const lanes: Lane[] = [];
  let pending = LANE_COUNT;

  const fail = (error: unknown) => {
    if (carrier?.isReady) return;
    result.reject(error);
    maker.giveUp();
  };
  const newCarrier = (peerIncarnation: string) => {
    const made = maker.newCarrier(peerIncarnation, lanes);
    void made.closed.then(({ reason }) => fail(asGatewayError(new Error(reason), peer)));
    return made;
  };
  const joined = (proven: ProvenPeer, lane: Lane) => {
    lanes.push(lane);
    carrier ??= newCarrier(proven.hello.incarnation);
    if (proven.hello.incarnation !== carrier.peerIncarnation) {
      maker.refuse(lane, "the peer has restarted");
      throw handshakeFailed(`${peer.name} restarted in the middle of it`);
    }
    carrier.join(lane);
    if (carrier.isReady) result.resolve(carrier);
  };
  for (let laneIndex = 0; laneIndex < LANE_COUNT; laneIndex++) {
    void (async () => {
      const { stream, lane } = await maker.connect(laneIndex);
      const id = { bundleId, laneIndex, laneCount: LANE_COUNT };
      joined(await dialHandshake(stream, own, peer, id), lane);
    })().catch((error) => {
      pending--;
      // Without its urgent lane, or with a refusal, the bundle cannot be; else the others suffice.
      const isRefusal = error instanceof GatewayError && error.code !== "peer_unreachable";
      if (laneIndex === 0 || isRefusal || pending <= 1) fail(asGatewayError(error, peer));
    });
  }
  void clock.sleep(DIAL_MS_MAX, timer.signal)
    .then(() => fail(unreachable(peer, maker.protocol)), () => {});
  const onAbort = () => fail(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await result.promise;
  } catch (error) {
    (carrier as C | null)?.close("the dial was given up").catch(() => {});
    throw error;
  } finally {
    timer.abort();
    signal.removeEventListener("abort", onAbort);
  }
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

function unreachable(peer: TrustedPeer, protocol: string): GatewayError {
  return new GatewayError(
    "peer_unreachable",
    `Cannot reach ${peer.name} at ${peer.address}: no answer within ${DIAL_MS_MAX} ms`,
    { hint: `Check that the gateway runs there and that ${protocol} to its link address passes` },
  );
}
