/** A path that is sent less than this share of what it can carry has no queue, once it is empty. */
const FULL_SHARE = 0.9;
const SHARE_MAX = 2;
/**
 * Means are over about this when noise rises, and so many times that when it falls: a dip sees only
 * a part of a slow jitter. What is not confirmed fades with a time constant, and faster in doubt.
 */
const MEAN_MS = 200;
const FALLING = 4;
const FADE_MS = 6_000;
const DOUBT = 8;
/** Of a longer time between two reports only this counts: nothing is known of the rest. */
const STEP_MS_MAX = 100;
/** A queue is what exceeds the mean noise by more than so many mean deviations. */
const DEVIATIONS = 1.5;
/** Noise beyond this share of the least round trip, or this, is taken for a queue all the same. */
const ROUND_TRIPS_MAX = 0.75;
const MS_MAX = 200;

/** What meets the bytes that a report tells of. */
export interface NoiseInput {
  readonly nowMs: number;
  /** What looks like a queue. */
  readonly queueMs: number;
  readonly roundTripMs: number;
  readonly minRoundTripMs: number;
  /** Rate at which these bytes were sent, and the best at which any arrived lately (0: unknown). */
  readonly sentBytesPerSecond: number;
  readonly arrivedBytesPerSecond: number;
}

/**
 * What looks like a queue where there is none: jitter of the path, programs that are busy; pure.
 * Delay tells of a queue only by how much it exceeds that.
 *
 * It is learnt while clearly less is sent than has arrived before, from the moment on by which a
 * queue of ours must have drained at what that leaves free. Were it learnt at any rate, a queue that
 * the pacer failed to drain would become noise, and the next longer one too.
 */
export class PathNoise {
  #meanMs = 0;
  #deviationMs = 0;
  #roundTripMs = 0;
  #mostMs = MS_MAX;
  /** The longest that our own queue can be. */
  #ownMs = 0;
  #atMs: number | null = null;

  /** Delay up to which there is no sign of a queue. */
  get queueMs(): number {
    return Math.min(this.#mostMs, this.#meanMs + DEVIATIONS * this.#deviationMs);
  }

  /** By how much a round trip exceeds the least one without a queue, on the mean. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /** Takes in a report of a path whose queue shows. */
  take(input: NoiseInput): void {
    const { queueMs, sentBytesPerSecond, arrivedBytesPerSecond } = input;
    const elapsedMs = this.#elapsed(input);
    const sentShare = arrivedBytesPerSecond === 0
      ? SHARE_MAX
      : Math.min(SHARE_MAX, sentBytesPerSecond / arrivedBytesPerSecond);
    const grownMs = elapsedMs * (sentShare / FULL_SHARE - 1);
    this.#ownMs = Math.min(queueMs, Math.max(0, this.#ownMs + grownMs));
    if (this.#ownMs === 0 && sentShare < FULL_SHARE) this.#learn(input, elapsedMs);
    else this.#fade(elapsedMs);
  }

  /** Takes in a report of a path that is known to have no queue. */
  takeEmpty(input: NoiseInput): void {
    this.#learn(input, this.#elapsed(input));
  }

  /** The queue overflows: what was learnt may have been a queue. */
  doubt(nowMs: number): void {
    const elapsedMs = Math.min(STEP_MS_MAX, nowMs - (this.#atMs ?? nowMs));
    this.#atMs = nowMs;
    this.#fade(DOUBT * elapsedMs);
  }

  #elapsed({ nowMs, minRoundTripMs }: NoiseInput): number {
    const elapsedMs = Math.min(STEP_MS_MAX, nowMs - (this.#atMs ?? nowMs));
    this.#atMs = nowMs;
    this.#mostMs = Math.min(MS_MAX, ROUND_TRIPS_MAX * minRoundTripMs);
    return elapsedMs;
  }

  #learn({ queueMs, roundTripMs, minRoundTripMs }: NoiseInput, elapsedMs: number): void {
    const meanMs = queueMs > this.#meanMs ? MEAN_MS : FALLING * MEAN_MS;
    const share = Math.min(1, elapsedMs / meanMs);
    this.#deviationMs += share * (Math.abs(queueMs - this.#meanMs) - this.#deviationMs);
    this.#meanMs += share * (queueMs - this.#meanMs);
    const excessMs = Math.min(this.#mostMs, Math.max(0, roundTripMs - minRoundTripMs));
    this.#roundTripMs += share * (excessMs - this.#roundTripMs);
  }

  /** Noise that has ended would otherwise hide a queue for ever. */
  #fade(elapsedMs: number): void {
    const left = 1 - elapsedMs / FADE_MS;
    this.#meanMs *= left;
    this.#deviationMs *= left;
    this.#roundTripMs *= left;
  }
}
