import type { PathMeasurement } from "../../src/link/peer_link.ts";

/** Below this, and this share of the round trip, a delay is no queue; jitter comes on top. */
const TARGET_MS_MIN = 5;
const TARGET_RATIO = 0.15;
/** Of the most that the path was seen to carry: where it begins, and what it always keeps. */
const START_SHARE = 0.2;
const LEAST_SHARE = 0.05;
const ASSUMED_BYTES_PER_SECOND = 2_500_000;
/** One step back, and growth each second as a share of the cap. */
const BACK = 0.75;
const GROWTH = 0.15;

/**
 * A cap that yields to a queue on the path, after LEDBAT (RFC 6817): the least that shows what the
 * link's figures are good for. The policy `fair` of a move is another one.
 */
export class FairCap {
  #bytesPerSecond: number | null = null;
  #mostBytesPerSecond = 0;
  #backAtMs = -Infinity;
  #atMs: number | null = null;

  decide(path: PathMeasurement, nowMs: number): number {
    this.#mostBytesPerSecond = Math.max(
      this.#mostBytesPerSecond,
      path.bottleneckBytesPerSecond ?? 0,
      path.goodputBytesPerSecond ?? 0,
    );
    const most = Math.max(this.#mostBytesPerSecond, ASSUMED_BYTES_PER_SECOND);
    const passedMs = nowMs - (this.#atMs ?? nowMs);
    this.#atMs = nowMs;
    let rate = this.#bytesPerSecond ?? START_SHARE * most;
    const targetMs = Math.max(TARGET_MS_MIN, TARGET_RATIO * (path.minRoundTripMs ?? 0)) +
      (path.jitterMs ?? 0);
    const queueMs = path.queueMs ?? 0;
    if (queueMs > targetMs) {
      if (nowMs - this.#backAtMs > 200 + (path.roundTripMs ?? 0)) {
        rate *= BACK;
        this.#backAtMs = nowMs;
      }
    } else if (queueMs < targetMs / 2) rate *= 1 + GROWTH * passedMs / 1000;
    this.#bytesPerSecond = Math.max(LEAST_SHARE * most, Math.min(1.25 * most, rate));
    return this.#bytesPerSecond;
  }
}
