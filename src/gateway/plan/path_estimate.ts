import type { PathMeasurement, PathProbe } from "../../link/peer_link.ts";
import { type PathModel, steadyPath } from "../../migration/control/model.ts";
import { shownRate } from "../../migration/control/words.ts";
import { type Ends, ends } from "./ends.ts";

/**
 * Rates of a path that nothing has measured, bytes per second: 100, 20 and 5 Mbit/s, between which
 * seven of ten profiles of wan-profiles/ lie.
 */
export const ASSUMED_RATE: Ends<number> = { low: 12_500_000, expected: 2_500_000, high: 625_000 };

/** The model leaves this much of a path to its pacer's caution; a probe has paid it already. */
const PACED_RATIO = 0.97;
/** Pieces of a probe swing around its mean; a whole move's mean swings less. */
const PIECE_SHARE = 0.5;
/** By how much a rate may be off beside what was seen to swing. */
const ERROR: Ends<number> = { low: 1.05, expected: 1, high: 0.9 };
/** The same where the probe ended before the rate stood still: it was still rising. */
const UNSETTLED_ERROR: Ends<number> = { low: 1.5, expected: 1, high: 0.8 };
/** A cap counts the headers of every layer, and what is sent again. */
const PAYLOAD_RATIO = 0.94;
/** Share of the bottleneck beside moves that are on the path now, and may end meanwhile. */
const SHARE_BESIDE_MOVES: Ends<number> = { low: 1, expected: 0.5, high: 0.33 };

/** A rate for each case, and where it is from. */
export interface RateEstimate {
  /** `probed`: a probe filled the path. `measured`: moves do. `assumed`: nothing is known. */
  readonly source: "probed" | "measured" | "assumed";
  readonly bytesPerSecond: Ends<number>;
}

/** What is known of a path, as models of it. */
export interface PathEstimate {
  readonly rate: RateEstimate;
  readonly path: Ends<PathModel>;
  readonly roundTripMs: number | null;
  readonly isCapped: boolean;
  readonly remarks: readonly string[];
}

/**
 * What a probe and the link's own estimates say of the path.
 *
 * @param probe null where there is no connection
 * @param capBytesPerSecond of the link or of the move, on the wire; null is none
 */
export function estimatePath(
  probe: PathProbe | null,
  measured: PathMeasurement,
  capBytesPerSecond: number | null,
): PathEstimate {
  const found = rateOf(probe, measured);
  const cap = PAYLOAD_RATIO * (capBytesPerSecond ?? Infinity);
  const bytesPerSecond = ends((end) => Math.max(1, Math.min(found.bytesPerSecond[end], cap)));
  // The least: a connection that was just made has measured its own handshakes beside the path.
  const roundTripMs = probe?.minRoundTripMs ?? measured.minRoundTripMs ?? measured.roundTripMs;
  const jitterMs = probe?.jitterMs ?? measured.jitterMs ?? 0;
  const lossRatio = probe?.lossRatio ?? measured.lossRatio ?? 0;
  // A probe under a cap has found the cap: rates are under it by what the pacer keeps back.
  const isCapped = cap < found.bytesPerSecond.low ||
    (found.source === "probed" && found.bytesPerSecond.expected >= PACED_RATIO * cap);
  return {
    rate: { source: found.source, bytesPerSecond },
    path: ends((end) =>
      steadyPath(bytesPerSecond[end] / PACED_RATIO, roundTripMs ?? 0, { jitterMs, lossRatio })
    ),
    roundTripMs,
    isCapped,
    remarks: [
      ...found.remarks,
      ...(isCapped ? [`a cap of ${shownRate(capBytesPerSecond!)} limits it`] : []),
      ...(roundTripMs === null
        ? ["the round trip is not known: times are without the path's delay"]
        : []),
    ],
  };
}

function rateOf(
  probe: PathProbe | null,
  { bottleneckBytesPerSecond }: PathMeasurement,
): RateEstimate & { readonly remarks: readonly string[] } {
  const goodput = probe?.goodputBytesPerSecond ?? 0;
  const bottleneck = probe?.bottleneckBytesPerSecond ?? bottleneckBytesPerSecond;
  if (probe?.source === "moves" && (bottleneck ?? goodput) > 0) {
    const whole = bottleneck ?? goodput;
    return {
      source: "measured",
      bytesPerSecond: ends((end) => whole * SHARE_BESIDE_MOVES[end]),
      remarks: [
        `a move uses the path now: of its ${shownRate(whole)} a half is expected for ` +
        "another one beside it",
      ],
    };
  }
  if (probe !== null && goodput > 0) return probedRate(probe, goodput);
  if (bottleneck !== null && bottleneck > 0) {
    return {
      source: "measured",
      bytesPerSecond: ends((end) => bottleneck * ERROR[end]),
      remarks: ["the rate is that of an earlier move: the path could not be probed"],
    };
  }
  return {
    source: "assumed",
    bytesPerSecond: ASSUMED_RATE,
    remarks: [
      `nothing has measured this path: ${megabits(ASSUMED_RATE.expected)} Mbit/s are ` +
      `assumed, between ${megabits(ASSUMED_RATE.high)} and ${megabits(ASSUMED_RATE.low)}`,
    ],
  };
}

function probedRate(
  { isSettled, goodputRange, bottleneckBytesPerSecond }: PathProbe,
  goodput: number,
): RateEstimate & { readonly remarks: readonly string[] } {
  const { low: least, high: most } = goodputRange ?? { low: goodput, high: goodput };
  if (isSettled) {
    const swing = { low: most - goodput, expected: 0, high: least - goodput };
    const bytesPerSecond = ends((end) => (goodput + PIECE_SHARE * swing[end]) * ERROR[end]);
    return { source: "probed", bytesPerSecond, remarks: [] };
  }
  const latest = Math.max(goodput, Math.min(most, bottleneckBytesPerSecond ?? Infinity));
  const from = { low: latest, expected: latest, high: goodput };
  return {
    source: "probed",
    bytesPerSecond: ends((end) => from[end] * UNSETTLED_ERROR[end]),
    remarks: ["the probe ended before the rate stood still: the path may carry more"],
  };
}

function megabits(bytesPerSecond: number): number {
  return bytesPerSecond * 8 / 1e6;
}
