import { WindowedLeast } from "./path_window.ts";

/** Share of a new figure in the mean loss. */
const SMOOTHING = 1 / 8;
/** Loss at random is what was the least within this. */
const RANDOM_WINDOW_MS = 10_000;
/** More than that by this is a queue that overflows: with 5 % at random the mean varies by 1 %. */
const EXCESS_RATIO = 0.05;

/** Tells the loss of a queue that overflows from loss at random; pure. */
export class Overflow {
  #lossRatio = 0;
  #latest = 0;
  readonly #random = new WindowedLeast(RANDOM_WINDOW_MS);

  /** True while the queue is full for sure. */
  get isSeen(): boolean {
    return Math.min(this.#lossRatio, this.#latest) - (this.#random.value ?? 0) > EXCESS_RATIO;
  }

  /** @param lossRatio of marks that were not counted before */
  take(lossRatio: number, nowMs: number): void {
    this.#latest = lossRatio;
    this.#lossRatio += SMOOTHING * (lossRatio - this.#lossRatio);
    this.#random.add(this.#lossRatio, nowMs);
  }
}
