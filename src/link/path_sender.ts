import { hastyWindowMs, steadyWindowMs } from "./delivery_window.ts";
import { Pacer } from "./pacer.ts";
import { PacedSender } from "./pacer_bucket.ts";
import type { Feedback, Mark } from "./path_datagram.ts";
import { PathDelay } from "./path_delay.ts";
import { DeliveryRate } from "./path_delivery.ts";
import { PathEstimate } from "./path_estimate.ts";
import { RateLimit } from "./rate_limit.ts";

/** Small chunks share a mark. */
const MARKED_BYTES_MIN = 1024;
/** The rate counts as used up when something waited for it within this, or two round trips. */
const PACED_MS = 20;

/** What a program that is late catches up with at once of a cap. */
const CAP_BURST_MS = 50;

/** The sending side of a path: when bytes may leave, marks for them, and what the reports say; pure. */
export class PathSender {
  readonly estimate = new PathEstimate();
  readonly delay = new PathDelay();
  readonly pacer = new Pacer();
  readonly #delivery = new DeliveryRate();
  readonly #paced = new PacedSender();
  readonly #cap = new RateLimit(null, 0, CAP_BURST_MS);
  #unmarkedBytes = 0;
  #pacedAtMs = -Infinity;

  get inFlightBytes(): number {
    return this.#delivery.inFlightBytes;
  }

  /** ms until the rate allows more; 0: now. */
  waitMs(nowMs: number): number {
    const { rateBytesPerSecond, memoryMs } = this.pacer;
    const waitMs = this.#paced.waitMs(nowMs, rateBytesPerSecond, memoryMs);
    if (waitMs > 0) this.#pacedAtMs = nowMs;
    return waitMs;
  }

  /** What may go at most, in bytes on the wire; null: what the path takes. */
  get capBytesPerSecond(): number | null {
    return this.#cap.bytesPerSecond;
  }

  setCap(bytesPerSecond: number | null, nowMs: number): void {
    if (bytesPerSecond !== this.#cap.bytesPerSecond) this.#cap.set(bytesPerSecond, nowMs);
  }

  /** ms until the cap allows more. What waits for it says nothing about the path. */
  capWaitMs(nowMs: number): number {
    return this.#cap.readyAtMs(nowMs) - nowMs;
  }

  /** True when enough is under way: nothing may leave before the next report. */
  isWindowFull(nowMs: number): boolean {
    if (this.#delivery.inFlightBytes < this.pacer.windowBytes) return false;
    this.#pacedAtMs = nowMs;
    return true;
  }

  /**
   * Notes that a chunk leaves now, whether it waited or not.
   *
   * @param packetBytes what it costs on the wire
   * @returns the mark to send before it; null when it shares a later one
   */
  sent(
    chunkBytes: number,
    headerBytes: number,
    nowMs: number,
    packetBytes = chunkBytes + headerBytes,
  ): Mark | null {
    const { rateBytesPerSecond, memoryMs } = this.pacer;
    this.#cap.spend(packetBytes, nowMs);
    this.#paced.sent(chunkBytes + headerBytes, nowMs, rateBytesPerSecond, memoryMs);
    this.#unmarkedBytes += chunkBytes;
    if (this.#unmarkedBytes < MARKED_BYTES_MIN) return null;
    const markedBytes = this.#unmarkedBytes;
    this.#unmarkedBytes = 0;
    const number = this.#delivery.markSent(nowMs, markedBytes);
    return { kind: "mark", number, sentMs: nowMs, chunkBytes: markedBytes };
  }

  /**
   * Takes in a report.
   *
   * @param sentBytes written to all streams
   * @param readBytes read from them by the peer, as far as this report tells
   * @returns false when it cannot be or a newer one was there before
   */
  take(feedback: Feedback, sentBytes: number, readBytes: number, nowMs: number): boolean {
    if (!this.#delivery.isPlausible(feedback) || !this.estimate.take(feedback, nowMs)) return false;
    this.delay.take(feedback, nowMs);
    const minRoundTripMs = this.estimate.minRoundTripMs ?? 0;
    const { jitterMs } = this.delay;
    const isHasty = this.pacer.isDoubling && jitterMs !== null;
    const windowMs = isHasty
      ? hastyWindowMs(minRoundTripMs, jitterMs)
      : steadyWindowMs(minRoundTripMs);
    this.pacer.take({
      nowMs,
      transitMs: Number.isNaN(feedback.transitMs) ? null : feedback.transitMs,
      delivery: this.#delivery.take(feedback, minRoundTripMs, windowMs),
      minRoundTripMs,
      roundTripMs: this.estimate.lastRoundTripMs ?? minRoundTripMs,
      arrivedBytes: feedback.markBytes,
      arrivedAtMs: feedback.lastMarkAtMs,
      sentBytes,
      readBytes,
      isHasty,
      isPaced: nowMs - this.#pacedAtMs < 2 * minRoundTripMs + PACED_MS,
    });
    return true;
  }
}
