const LEAST = 0.02;
const MOST = 0.12;
/** Less loss than this is nobody's fault. */
const LOSS_RATIO_MIN = 0.002;
const LOSS_GAIN = 0.4;
const PER_SECOND = 0.02;
/** Share of a new figure in the mean of random loss. */
const SMOOTHING = 1 / 8;

/**
 * How far below the bottleneck's rate to stay where its queue is over before it can be seen: loss
 * widens it, time narrows it; pure. What is still lost at the widest headroom is random.
 */
export class Headroom {
  #ratio = LEAST;
  #randomLossRatio = 0;
  #atMs: number | null = null;

  /** 0 to 1, of the bottleneck's rate. */
  get ratio(): number {
    return this.#ratio;
  }

  /** Loss that slowing down does not avoid. */
  get randomLossRatio(): number {
    return this.#randomLossRatio;
  }

  /** @param lossRatio of marks that were not counted before; null without */
  take(lossRatio: number | null, nowMs: number): void {
    const seconds = (nowMs - (this.#atMs ?? nowMs)) / 1000;
    this.#atMs = nowMs;
    this.#ratio = Math.max(LEAST, this.#ratio - PER_SECOND * seconds);
    if (lossRatio === null) return;
    if (this.#ratio > 0.9 * MOST || lossRatio < this.#randomLossRatio) {
      this.#randomLossRatio += SMOOTHING * (lossRatio - this.#randomLossRatio);
    }
    const excess = Math.max(0, lossRatio - this.#randomLossRatio - LOSS_RATIO_MIN);
    this.#ratio = Math.min(MOST, this.#ratio + LOSS_GAIN * excess);
  }
}
