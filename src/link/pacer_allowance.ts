/** Queueing delay that is allowed: this share of the least round trip, within these bounds. */
const QUEUE_RATIO = 0.15;
const QUEUE_MS_MIN = 2;
const QUEUE_MS_MAX = 40;
/** Less than this is no queue at any rate: a few packets are always under way together. */
const QUEUE_BYTES_MIN = 4_500;
const SHORT_QUEUE_BYTES_MIN = 12_000;
/** What looks like a queue below a short path's limit, and how much more than that is one. */
const NOISE_SMOOTHING = 1 / 32;
const NOISE_GAIN = 2.5;
const NOISE_MS_MAX = 30;

/** How long a queue may be; pure. */
export class QueueAllowance {
  #shortNoiseMs = 0;

  /** Below a short path's limit there is no queue: what looks like one is the programs'. */
  noticeEmpty(queueMs: number): void {
    this.#shortNoiseMs += (queueMs - this.#shortNoiseMs) * NOISE_SMOOTHING;
  }

  ms(isShort: boolean, minRoundTripMs: number, bytesPerSecond: number): number {
    const noiseMs = isShort ? Math.min(NOISE_MS_MAX, NOISE_GAIN * this.#shortNoiseMs) : 0;
    const ms = Math.max(QUEUE_MS_MIN, QUEUE_RATIO * minRoundTripMs, noiseMs);
    const bytes = isShort ? SHORT_QUEUE_BYTES_MIN : QUEUE_BYTES_MIN;
    return Math.max(Math.min(QUEUE_MS_MAX, ms), bytes * 1000 / bytesPerSecond);
  }
}
