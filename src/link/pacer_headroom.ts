const LEAST = 0.02;
const MOST = 0.15;
/** Less loss than this is nobody's fault. */
const LOSS_RATIO_MIN = 0.002;
const PER_SECOND = 0.01;

/**
 * How far below the bottleneck's rate to stay where its queue is over before it can be seen: loss
 * widens it, time narrows it; pure. Where the loss is random after all, that costs no more than the
 * widest headroom.
 */
export class Headroom {
  #ratio = LEAST;
  #atMs: number | null = null;

  /** 0 to 1, of the bottleneck's rate. */
  get ratio(): number {
    return this.#ratio;
  }

  /** @param newLossRatio of marks that were not counted before; null without */
  take(newLossRatio: number | null, nowMs: number): void {
    const seconds = (nowMs - (this.#atMs ?? nowMs)) / 1000;
    this.#atMs = nowMs;
    const excess = Math.max(0, (newLossRatio ?? 0) - LOSS_RATIO_MIN);
    this.#ratio = Math.min(MOST, Math.max(LEAST, this.#ratio - PER_SECOND * seconds + excess));
  }
}
