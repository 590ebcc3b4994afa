import { WindowedLeast } from "./path_window.ts";

/** Jitter of tens of ms is little in a mean over this; a round trip of a satellite fits. */
const MEAN_MS = 500;
/** The best mean counts for so long. */
const WINDOW_MS = 3_000;
const SAMPLE_MS = 20;

/**
 * The best rate at which bytes arrived lately; pure. Unlike the delivery rate of a moment it is not
 * raised by jitter, which makes some moments look better than the path is.
 */
export class ArrivedRate {
  #arrivals: { atMs: number; bytes: number }[] = [];
  /** Negative rates: the least is the best. */
  readonly #best = new WindowedLeast(WINDOW_MS);

  /** 0 while unknown. */
  get bytesPerSecond(): number {
    return -(this.#best.value ?? 0);
  }

  /**
   * @param bytes total that has arrived
   * @param atMs when the last of it did
   */
  add(bytes: number, atMs: number): void {
    const last = this.#arrivals.at(-1);
    if (last && atMs < last.atMs + SAMPLE_MS) return;
    this.#arrivals.push({ atMs, bytes });
    let start = 0;
    while (this.#arrivals[start + 1]?.atMs <= atMs - MEAN_MS) start++;
    this.#arrivals.splice(0, start);
    const first = this.#arrivals[0];
    const ms = atMs - first.atMs;
    if (ms >= MEAN_MS) this.#best.add((first.bytes - bytes) * 1000 / ms, atMs);
  }
}
