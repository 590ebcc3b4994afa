/** The first window, as large as the first guess sends in a round trip, leaves in a third of one. */
const BYTES_PER_SECOND = 3_000_000;
/** A report of marks that were sent at this share of it tells what the path did with them. */
const TAUGHT_RATIO = 0.5;
/** Where jitter hides it, the first guess has to do. */
const LOOPS_MAX = 2;

/**
 * The first window of a path, sent faster than the first guess and no larger: what a slow line has to
 * keep in its queue is the same, and a fast one has shown three doublings of the rate with its first
 * report; pure, time is an argument. Short fast trains for that are known from paced chirping (Misund
 * and Briscoe, Netdev 0x13, 2019).
 */
export class FirstFlight {
  #startedMs: number | null = null;
  #isOver = false;

  /** A train that jitter spreads arrives more slowly than it was sent, whatever the path carries. */
  get isUnderWay(): boolean {
    return !this.#isOver;
  }

  /** @param sentBytesPerSecond of the marks in a report; null without */
  take(
    { sentBytesPerSecond, isPaced, loopMs, nowMs }: {
      readonly sentBytesPerSecond: number | null;
      /** More was there to send than was sent. */
      readonly isPaced: boolean;
      readonly loopMs: number;
      readonly nowMs: number;
    },
  ): void {
    if (isPaced) this.#startedMs ??= nowMs;
    const isTaught = (sentBytesPerSecond ?? 0) > TAUGHT_RATIO * BYTES_PER_SECOND;
    const elapsedMs = nowMs - (this.#startedMs ?? nowMs);
    if (isTaught || elapsedMs > LOOPS_MAX * loopMs) this.#isOver = true;
  }

  /** The rate in place of this one. */
  rate(bytesPerSecond: number): number {
    return this.#isOver ? bytesPerSecond : Math.max(bytesPerSecond, BYTES_PER_SECOND);
  }
}
