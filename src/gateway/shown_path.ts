import type { PathMeasurement } from "../link/peer_link.ts";

/**
 * A path's figures as the API shows them: whole milliseconds (contract: `…Ms` are integers) and whole
 * bytes per second. The link itself works with fractions.
 */
export function shownPath(path: PathMeasurement): PathMeasurement {
  return {
    roundTripMs: whole(path.roundTripMs),
    minRoundTripMs: whole(path.minRoundTripMs),
    bottleneckBytesPerSecond: whole(path.bottleneckBytesPerSecond),
    goodputBytesPerSecond: whole(path.goodputBytesPerSecond),
    lossRatio: path.lossRatio,
    queueMs: whole(path.queueMs),
    jitterMs: whole(path.jitterMs),
    silentMs: whole(path.silentMs),
  };
}

function whole(value: number | null): number | null {
  return value === null ? null : Math.round(value);
}
