import type { Feedback } from "./path_datagram.ts";
import { WindowedLeast } from "./path_window.ts";

/** What the path takes without a queue is the least of this time. */
export const BASE_WINDOW_MS = 180_000;
/**
 * The delay is the least seen in so many round trips, within these bounds: programs are late at
 * times. On a short path a queue comes and goes in a moment, and the least of a longer one is none.
 */
const LATELY_ROUND_TRIPS = 5;
const LATELY_MS_MIN = 20;
const LATELY_MS_MAX = 100;
/** What was seen longer ago is not said of now; some PINGs may get lost. */
const STALE_MS = 2_000;
/** Share of a new difference in the jitter (RFC 3550, section 6.4.1). */
const JITTER_SHARE = 1 / 16;

/**
 * How long what is sent now waits on the way, and by how much that varies; pure, time is an argument.
 *
 * It serves those who judge by other traffic on the path, so it never takes a queue that stays for
 * the path itself, as the pacer does after a while. Of two figures the smaller one counts: the delay
 * one way, between clocks that may drift apart by milliseconds a minute, and the round trip, which
 * knows no drift but has the queue of the way back in it. As in LEDBAT (RFC 6817, section 2.4.2), the
 * base is the least of some minutes, against the least of some samples.
 */
export class PathDelay {
  readonly #oneWay = new DelayAboveLeast();
  readonly #roundTrip = new DelayAboveLeast();
  #echoedSentMs = NaN;
  #takenAtMs = -Infinity;
  #lastOneWayMs: number | null = null;
  #jitterMs: number | null = null;
  #differences = 0;

  /** ms above the least of the last minutes; null before the first report, and without one for 2 s. */
  queueMs(nowMs: number): number | null {
    if (nowMs - this.#takenAtMs > STALE_MS) return null;
    return Math.min(this.#oneWay.ms, this.#roundTrip.ms);
  }

  /** Mean difference between one delay one way and the next, ms; null before the second report. */
  get jitterMs(): number | null {
    return this.#jitterMs;
  }

  /** Takes in a report that is newer than those before it. */
  take(feedback: Feedback, nowMs: number): void {
    const { echoedSentMs, heldMs, transitMs } = feedback;
    // A report that echoes nothing new would count the same delay again.
    if (!Number.isFinite(echoedSentMs) || echoedSentMs === this.#echoedSentMs) return;
    this.#echoedSentMs = echoedSentMs;
    const oneWayMs = feedback.nowMs - heldMs - echoedSentMs;
    const roundTripMs = nowMs - echoedSentMs - heldMs;
    if (!Number.isFinite(oneWayMs) || !Number.isFinite(roundTripMs)) return;
    this.#takenAtMs = nowMs;
    const leastMs = Number.isFinite(transitMs) ? Math.min(transitMs, oneWayMs) : oneWayMs;
    const latelyMs = LATELY_ROUND_TRIPS * Math.min(roundTripMs, this.#roundTrip.baseMs);
    const sinceMs = nowMs - Math.min(LATELY_MS_MAX, Math.max(LATELY_MS_MIN, latelyMs));
    this.#oneWay.add(leastMs, nowMs, sinceMs);
    this.#roundTrip.add(roundTripMs, nowMs, sinceMs);
    this.#vary(oneWayMs);
  }

  #vary(oneWayMs: number): void {
    if (this.#lastOneWayMs !== null) {
      const differenceMs = Math.abs(oneWayMs - this.#lastOneWayMs);
      this.#jitterMs ??= differenceMs;
      const share = Math.max(JITTER_SHARE, 1 / ++this.#differences);
      this.#jitterMs += share * (differenceMs - this.#jitterMs);
    }
    this.#lastOneWayMs = oneWayMs;
  }
}

/** The least of the last samples above the least of the last minutes. */
class DelayAboveLeast {
  readonly #base = new WindowedLeast(BASE_WINDOW_MS);
  #lately: { readonly atMs: number; readonly delayMs: number }[] = [];
  #ms = 0;

  get ms(): number {
    return this.#ms;
  }

  /** Of the last minutes; Infinity before the first sample. */
  get baseMs(): number {
    return this.#base.value ?? Infinity;
  }

  /** @param sinceMs samples before this are not of now */
  add(delayMs: number, nowMs: number, sinceMs: number): void {
    this.#base.add(delayMs, nowMs);
    this.#lately = this.#lately.filter(({ atMs }) => atMs > sinceMs);
    this.#lately.push({ atMs: nowMs, delayMs });
    const lately = Math.min(...this.#lately.map((sample) => sample.delayMs));
    this.#ms = lately - this.baseMs;
  }
}
