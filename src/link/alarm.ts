import type { Clock } from "../core/clock.ts";

/**
 * Rings at or before every time that it was set to, which may be too early: whoever is rung looks
 * what is due and sets it again.
 *
 * A sleep that is no longer needed runs out by itself. Ending it would cost more than a needless
 * ring: some 35 µs, most of them for the stack of an `AbortError` that nobody reads.
 */
export class Alarm {
  readonly #clock: Clock;
  readonly #ring: () => void;
  readonly #stopping = new AbortController();
  /** Times of the sleeps under way, each earlier than those before it. */
  readonly #pendingMs: number[] = [];

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock;
    this.#ring = ring;
  }

  /** @param atMs Infinity: nothing is due */
  set(atMs: number): void {
    if (atMs >= (this.#pendingMs.at(-1) ?? Infinity) || this.#stopping.signal.aborted) return;
    this.#pendingMs.push(atMs);
    this.#clock.sleep(Math.max(0, atMs - this.#clock.nowMs()), this.#stopping.signal).then(() => {
      this.#pendingMs.splice(this.#pendingMs.indexOf(atMs), 1);
      this.#ring();
    }, () => {});
  }

  /** It never rings again. */
  stop(): void {
    this.#stopping.abort();
  }
}
