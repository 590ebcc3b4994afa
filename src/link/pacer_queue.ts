import { WindowedLeast } from "./path_window.ts";

/** An empty queue must have been seen within this. */
const TRANSIT_WINDOW_MS = 10_000;
/** The delay is the least seen in this share of a round trip: programs are late at times. */
const LATELY_RATIO = 1 / 8;
const LATELY_MS_MIN = 15;

/** Delay in the bottleneck's queue, told from one-way times between clocks that differ; pure. */
export class QueueDelay {
  readonly #least = new WindowedLeast(TRANSIT_WINDOW_MS);
  #lately: { atMs: number; transitMs: number }[] = [];
  #ms = 0;

  get ms(): number {
    return this.#ms;
  }

  /** @param transitMs arrival by the receiver's clock minus sending by ours */
  add(transitMs: number, nowMs: number, minRoundTripMs: number): void {
    this.#least.add(transitMs, nowMs);
    const sinceMs = nowMs - Math.max(LATELY_MS_MIN, LATELY_RATIO * minRoundTripMs);
    this.#lately = this.#lately.filter(({ atMs }) => atMs > sinceMs);
    this.#lately.push({ atMs: nowMs, transitMs });
    const lately = Math.min(...this.#lately.map((entry) => entry.transitMs));
    this.#ms = lately - (this.#least.value as number);
  }

  /** Takes what is there now for the path's own delay: it is not ours to drain. */
  accept(nowMs: number): void {
    const lately = Math.min(...this.#lately.map((entry) => entry.transitMs));
    if (!Number.isFinite(lately)) return;
    this.#least.reset(lately, nowMs);
    this.#ms = 0;
  }
}
