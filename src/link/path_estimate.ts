import type { Feedback } from "./path_datagram.ts";
import { WindowedLeast } from "./path_window.ts";

/** Round trips older than this no longer count as the path's least. */
export const LEAST_WINDOW_MS = 10_000;
/** Loss and goodput are means over about this long. */
export const LOSS_WINDOW_MS = 5_000;
export const GOODPUT_WINDOW_MS = 1_000;
/** Share of a new round trip in the smoothed one (RFC 6298, section 2). */
const SMOOTHING = 1 / 8;

/** The sending side's view of the path; pure, time is an argument. */
export class PathEstimate {
  #roundTripMs: number | null = null;
  #lastRoundTripMs: number | null = null;
  readonly #leastRoundTrip = new WindowedLeast(LEAST_WINDOW_MS);
  #history: { nowMs: number; markCount: number; lastMark: number; bytes: number }[] = [];
  #newest: Feedback | null = null;

  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  /** Of the newest feedback. */
  get lastRoundTripMs(): number | null {
    return this.#lastRoundTripMs;
  }

  get minRoundTripMs(): number | null {
    return this.#leastRoundTrip.value;
  }

  /** Takes in one feedback; false when a newer one was there before, or it cannot be. */
  take(feedback: Feedback, nowMs: number): boolean {
    if (!isPlausible(feedback)) return false;
    if (this.#newest !== null && feedback.nowMs <= this.#newest.nowMs) return false;
    this.#newest = feedback;
    const roundTripMs = nowMs - feedback.echoedSentMs - feedback.heldMs;
    if (Number.isFinite(roundTripMs) && roundTripMs >= 0) {
      this.#lastRoundTripMs = roundTripMs;
      this.#roundTripMs = this.#roundTripMs === null
        ? roundTripMs
        : this.#roundTripMs + SMOOTHING * (roundTripMs - this.#roundTripMs);
      this.#leastRoundTrip.add(roundTripMs, nowMs);
    }
    this.#remember(feedback, nowMs);
    return true;
  }

  /** Marks that did not arrive, of those of the last `LOSS_WINDOW_MS`; null without any. */
  lossRatio(): number | null {
    const newest = this.#history.at(-1);
    const oldest = this.#history[0];
    if (!newest || newest.lastMark <= oldest.lastMark) return null;
    const sent = newest.lastMark - oldest.lastMark;
    return Math.max(0, 1 - (newest.markCount - oldest.markCount) / sent);
  }

  /** Stream bytes that the peer read per second, lately; null while unknown. */
  goodputBytesPerSecond(nowMs: number): number | null {
    const newest = this.#history.at(-1);
    if (!newest) return null;
    if (nowMs - newest.nowMs > GOODPUT_WINDOW_MS) return 0;
    const since = this.#history.find((entry) => entry.nowMs >= nowMs - GOODPUT_WINDOW_MS);
    if (!since || since === newest) return null;
    return (newest.bytes - since.bytes) * 1000 / (newest.nowMs - since.nowMs);
  }

  #remember(feedback: Feedback, nowMs: number): void {
    const bytes = feedback.laneBytes.reduce((sum, lane) => sum + lane, 0);
    const { markCount, lastMark } = feedback;
    this.#history.push({ nowMs, markCount, lastMark, bytes });
    let stale = 0;
    while (this.#history[stale].nowMs < nowMs - LOSS_WINDOW_MS) stale++;
    // In one go, and seldom: shift() of a long array is not free.
    if (stale > 64) this.#history = this.#history.slice(stale);
  }
}

/** Times and totals beyond this are no clock's and no link's, and lose their differences. */
const FIGURE_MAX = 2 ** 52;

/** The peer is authenticated, but a wrong figure must not derail the pacer. */
function isPlausible(feedback: Feedback): boolean {
  const { nowMs, heldMs, echoedSentMs, lastMarkAtMs, transitMs, laneBytes } = feedback;
  const isTime = (ms: number) => Math.abs(ms) <= FIGURE_MAX;
  return isTime(nowMs) && isTime(heldMs) && heldMs >= 0 &&
    // Not a number before the first mark or ping.
    [echoedSentMs, lastMarkAtMs, transitMs].every((ms) => Number.isNaN(ms) || isTime(ms)) &&
    [feedback.markBytes, feedback.consumedBytes, ...laneBytes]
      .every((bytes) => bytes >= 0 && bytes <= FIGURE_MAX);
}
