/** Deeper while dips come often, because they still teach something. */
const GAIN = 0.7;
const EARLY_GAIN = 0.5;
const EARLY_INTERVAL_MS = 1_000;
/** A short path's delay says little, so it is not measured for long. */
const SHORT_GAIN = 0.8;
/**
 * A dip lasts until what it does was seen, and until what looks like a queue must have drained: for
 * so many times its length.
 */
const SEEN_MS = 100;
const DRAIN_RATIO = 5;
const EARLY_DRAIN_RATIO = 2.5;
/** From one to the next: doubled from the least as long as they teach nothing new. */
const INTERVAL_MS_MIN = 500;
const INTERVAL_MS_MAX = 4_000;
/** The rest of the time is so many times longer than a dip: at most 6 % of the rate is given up. */
const REST_RATIO = 5;

export interface DipInput {
  readonly nowMs: number;
  /** False where the application sends less: then the path is not full anyway. */
  readonly isPaced: boolean;
  readonly isShort: boolean;
  readonly loopMs: number;
  /** What looks like a queue, how much of it is known to be none, and what is worth knowing. */
  readonly queueMs: number;
  readonly noiseMs: number;
  readonly allowedMs: number;
}

/**
 * Now and then the rate dips, so that an empty queue is seen: the least transit stays true, and
 * jitter is learnt. Often at first and while that teaches something, seldom later; pure.
 */
export class Dips {
  #fromMs = Infinity;
  #intervalMs = INTERVAL_MS_MIN;
  #noiseMs: number | null = null;

  /** The first one is due. */
  begin(nowMs: number, isShort: boolean): void {
    if (this.#fromMs !== Infinity) return;
    if (isShort) this.#intervalMs = INTERVAL_MS_MAX;
    this.postpone(nowMs);
  }

  /** The next one is an interval away. */
  postpone(nowMs: number): void {
    this.#fromMs = nowMs + this.#intervalMs;
    this.#noiseMs = null;
  }

  /** What the rate is multiplied by during a dip; null outside. */
  gain({ nowMs, isPaced, isShort, loopMs, queueMs, noiseMs, allowedMs }: DipInput): number | null {
    const elapsedMs = nowMs - this.#fromMs;
    if (elapsedMs < 0) return null;
    this.#noiseMs ??= noiseMs;
    const isEarly = this.#intervalMs <= EARLY_INTERVAL_MS;
    const drainMs = (isEarly ? EARLY_DRAIN_RATIO : DRAIN_RATIO) * queueMs;
    const lengthMs = isShort ? loopMs : loopMs + SEEN_MS + drainMs;
    if (isPaced && elapsedMs < lengthMs) {
      return isShort ? SHORT_GAIN : isEarly ? EARLY_GAIN : GAIN;
    }
    const isNews = noiseMs > this.#noiseMs + allowedMs / 4;
    const intervalMs = isNews ? 0 : Math.min(INTERVAL_MS_MAX, 2 * this.#intervalMs);
    this.#intervalMs = isShort
      ? INTERVAL_MS_MAX
      : Math.max(INTERVAL_MS_MIN, REST_RATIO * elapsedMs, intervalMs);
    this.postpone(nowMs);
    return null;
  }
}
