const LEAST = 0.02;
const MOST = 0.12;
/** Loss that is put up with: avoiding the last of it would cost more of the rate than it is. */
const TOLERATED_LOSS_RATIO = 0.005;
/** How fast the headroom follows the loss beyond that, per second. */
const GAIN_PER_SECOND = 4;
/** Share of a new figure in the mean loss, and of that in what is known to be random. */
const SMOOTHING = 1 / 16;
const RANDOM_SMOOTHING = 1 / 64;
const STEP_SECONDS_MAX = 0.2;

/**
 * How far below the bottleneck's rate to stay where its queue is over before it can be seen: loss
 * widens it, its absence narrows it; pure. What is still lost at the widest headroom is random.
 */
export class Headroom {
  #ratio = LEAST;
  #lossRatio = 0;
  #randomLossRatio = 0;
  #atMs: number | null = null;

  /** 0 to 1, of the bottleneck's rate. */
  get ratio(): number {
    return this.#ratio;
  }

  /** Loss of late, beyond what is random. */
  get excessLossRatio(): number {
    return this.#lossRatio - this.#randomLossRatio;
  }

  /** Loss that slowing down does not avoid. */
  get randomLossRatio(): number {
    return this.#randomLossRatio;
  }

  /** @param lossRatio of marks that were not counted before; null without */
  take(lossRatio: number | null, nowMs: number): void {
    const seconds = Math.min(STEP_SECONDS_MAX, (nowMs - (this.#atMs ?? nowMs)) / 1000);
    this.#atMs = nowMs;
    if (lossRatio !== null) this.#lossRatio += SMOOTHING * (lossRatio - this.#lossRatio);
    if (this.#ratio > 0.9 * MOST || this.#lossRatio < this.#randomLossRatio) {
      const difference = this.#lossRatio - this.#randomLossRatio;
      if (lossRatio !== null) this.#randomLossRatio += RANDOM_SMOOTHING * difference;
    }
    const excess = this.#lossRatio - this.#randomLossRatio - TOLERATED_LOSS_RATIO;
    this.#ratio = Math.min(MOST, Math.max(LEAST, this.#ratio + GAIN_PER_SECOND * excess * seconds));
  }
}
