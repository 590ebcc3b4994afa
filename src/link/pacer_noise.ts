import { WindowedLeast } from "./path_window.ts";

/** A path that is sent less than this share of what it can carry has no queue, once it is empty. */
const FULL_SHARE = 0.9;
/** It can carry what arrived on the mean of this time, at best within the last of that. */
const ARRIVED_MS = 500;
const ARRIVED_WINDOW_MS = 3_000;
const ARRIVED_SAMPLE_MS = 20;
/** Means are over about this; without confirmation what is known fades with this time constant. */
const MEAN_MS = 400;
const FADE_MS = 6_000;
/** A longer pause between reports counts as this: nothing is known of what happened in it. */
const STEP_MS_MAX = 100;
/** Deviations allowed above the mean; a queue is what exceeds that. */
const DEVIATIONS = 1.5;
/** Noise beyond this share of the least round trip is taken for a queue all the same. */
const RATIO_MAX = 0.75;
const MS_MAX = 200;

/**
 * What looks like a queue where none of ours can be: jitter of the path, or programs that are busy;
 * pure. Delay tells of a queue only by how much it exceeds this.
 *
 * Learnt while less than the estimate is sent, from the moment on by which our own queue must have
 * drained, as it does at what is left of the rate.
 */
export class PathNoise {
  #meanMs = 0;
  #deviationMs = 0;
  #roundTripMs = 0;
  /** The most that our own queue can be. */
  #ownMs = 0;
  #atMs: number | null = null;
  #mostMs = MS_MAX;
  #arrivals: { atMs: number; bytes: number }[] = [];
  /** Negative rates: the least is the best. */
  readonly #arrived = new WindowedLeast(ARRIVED_WINDOW_MS);

  /** Delay up to which there is no sign of a queue. */
  get queueMs(): number {
    return Math.min(this.#mostMs, this.#meanMs + DEVIATIONS * this.#deviationMs);
  }

  /** The best rate at which bytes arrived lately, on the mean of some time; 0 while unknown. */
  get arrivedBytesPerSecond(): number {
    return -(this.#arrived.value ?? 0);
  }

  get meanMs(): number {
    return this.#meanMs;
  }

  /** By how much round trips exceed the least one without a queue. */
  get roundTripMs(): number {
    return Math.min(this.#mostMs, this.#roundTripMs);
  }

  /**
   * Notes what has arrived.
   *
   * @param bytes total
   * @param atMs when the last of it did
   */
  arrived(bytes: number, atMs: number): void {
    if (atMs < (this.#arrivals.at(-1)?.atMs ?? -Infinity) + ARRIVED_SAMPLE_MS) return;
    this.#arrivals.push({ atMs, bytes });
    let start = 0;
    while (this.#arrivals[start + 1]?.atMs <= atMs - ARRIVED_MS) start++;
    this.#arrivals.splice(0, start);
    const first = this.#arrivals[0];
    const ms = atMs - first.atMs;
    if (ms >= ARRIVED_MS) this.#arrived.add((first.bytes - bytes) * 1000 / ms, atMs);
  }

  /**
   * @param queueMs what looks like a queue
   * @param excessRoundTripMs latest round trip beyond the least
   * @param sentBytesPerSecond at which the bytes were sent that met this delay
   */
  take(
    queueMs: number,
    excessRoundTripMs: number,
    sentBytesPerSecond: number,
    minRoundTripMs: number,
    nowMs: number,
  ): void {
    const elapsedMs = Math.min(STEP_MS_MAX, nowMs - (this.#atMs ?? nowMs));
    excessRoundTripMs = Math.min(excessRoundTripMs, this.#mostMs);
    this.#atMs = nowMs;
    this.#mostMs = Math.min(MS_MAX, RATIO_MAX * minRoundTripMs);
    const best = this.arrivedBytesPerSecond;
    const sentShare = best === 0 ? 2 : Math.min(2, sentBytesPerSecond / best);
    const grownMs = elapsedMs * (sentShare / FULL_SHARE - 1);
    this.#ownMs = Math.min(queueMs, Math.max(0, this.#ownMs + grownMs));
    if (this.#ownMs > 0 || sentShare >= FULL_SHARE) {
      const left = 1 - Math.min(1, elapsedMs / FADE_MS);
      this.#meanMs *= left;
      this.#deviationMs *= left;
      this.#roundTripMs *= left;
      return;
    }
    const share = Math.min(1, elapsedMs / MEAN_MS);
    this.#deviationMs += share * (Math.abs(queueMs - this.#meanMs) - this.#deviationMs);
    this.#meanMs += share * (queueMs - this.#meanMs);
    this.#roundTripMs += share * (excessRoundTripMs - this.#roundTripMs);
  }
}
