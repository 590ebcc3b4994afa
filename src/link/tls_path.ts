import type { Feedback } from "./path_datagram.ts";
import { PathEstimate } from "./path_estimate.ts";
import { WindowedLeast } from "./path_window.ts";

/** Bulk bytes under way or with the receiver, at most: it bounds what that may have to keep. */
export const TLS_WINDOW_BYTES_MAX = 16 * 1024 * 1024;
/** Enough to find the rate of a path from: it doubles each round trip until the path is full. */
export const TLS_WINDOW_BYTES_MIN = 256 * 1024;

/**
 * The window holds this many round trips and so much time of the best rate. TCP itself needs one
 * round trip under way and one more for each loss that is repaired, during which a lane delivers
 * nothing: with two, and the mean rate, a path of 1 % loss got 0.6 of its rate. What exceeds the need
 * waits in the kernel, where it is downtime when a machine pauses.
 */
const WINDOW_ROUND_TRIPS = 3;
const WINDOW_MS = 50;
/** The best rate is the best of this time, each over a round trip and no less than this. */
const BEST_WINDOW_MS = 10_000;
const BEST_SAMPLE_MS_MIN = 100;
/** The bottleneck is the mean of so many stretches in which there was always more to send. */
const BUSY_SAMPLES = 8;
const BUSY_SAMPLE_MS_MIN = 250;
const BUSY_SAMPLE_ROUND_TRIPS = 2;
/** The path counts as full when something waited for room within this, or two round trips. */
const FULL_MS = 20;

interface Point {
  /** Receiver's clock. */
  readonly atMs: number;
  /** Bytes read from all lanes. */
  readonly bytes: number;
}

/**
 * What a TLS bundle knows of its path. TCP paces itself and tells us nothing, so all figures come
 * from what the peer reports to have read; pure, time is an argument.
 */
export class TlsPath {
  readonly estimate = new PathEstimate();
  readonly #bestRate = new WindowedLeast(BEST_WINDOW_MS);
  #points: Point[] = [];
  #busyFrom: Point | null = null;
  #busyRates: number[] = [];
  #fullAtMs = -Infinity;

  /** Mean rate at which bytes were read while more waited to leave; null before it was known. */
  get bottleneckBytesPerSecond(): number | null {
    const rates = this.#busyRates;
    if (rates.length === 0) return null;
    return rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  }

  /** Bulk bytes that may be sent and not yet read by the peer. */
  get windowBytes(): number {
    const best = -(this.#bestRate.value ?? 0);
    const ms = WINDOW_ROUND_TRIPS * (this.estimate.minRoundTripMs ?? 0) + WINDOW_MS;
    const bytes = best * ms / 1000;
    return Math.min(TLS_WINDOW_BYTES_MAX, Math.max(TLS_WINDOW_BYTES_MIN, bytes));
  }

  /** A record has to wait for room: what is read from now on shows the path's rate. */
  noteFull(nowMs: number): void {
    this.#fullAtMs = nowMs;
  }

  /** Takes in a report; false when it cannot be or a newer one was there before. */
  take(feedback: Feedback, nowMs: number): boolean {
    if (!this.estimate.take(feedback, nowMs)) return false;
    const bytes = feedback.laneBytes.reduce((sum, lane) => sum + lane, 0);
    const newest: Point = { atMs: feedback.nowMs, bytes };
    const roundTripMs = this.estimate.minRoundTripMs ?? 0;
    this.#sampleBest(newest, roundTripMs, nowMs);
    this.#sampleBusy(newest, roundTripMs, nowMs);
    return true;
  }

  #sampleBest(newest: Point, roundTripMs: number, nowMs: number): void {
    const sampleMs = Math.max(BEST_SAMPLE_MS_MIN, roundTripMs);
    this.#points.push(newest);
    // The youngest point that is a sample away; older ones are of no more use.
    let start = 0;
    while (this.#points[start + 1]?.atMs <= newest.atMs - sampleMs) start++;
    if (start > 0) this.#points.splice(0, start);
    const [first] = this.#points;
    const rate = rateBetween(first, newest);
    if (first.atMs > newest.atMs - sampleMs || !Number.isFinite(rate)) return;
    this.#bestRate.add(-rate, nowMs);
  }

  #sampleBusy(newest: Point, roundTripMs: number, nowMs: number): void {
    if (nowMs - this.#fullAtMs > BUSY_SAMPLE_ROUND_TRIPS * roundTripMs + FULL_MS) {
      this.#busyFrom = null;
      return;
    }
    this.#busyFrom ??= newest;
    const sampleMs = Math.max(BUSY_SAMPLE_MS_MIN, BUSY_SAMPLE_ROUND_TRIPS * roundTripMs);
    const rate = rateBetween(this.#busyFrom, newest);
    if (newest.atMs - this.#busyFrom.atMs < sampleMs || !Number.isFinite(rate)) return;
    this.#busyRates.push(rate);
    if (this.#busyRates.length > BUSY_SAMPLES) this.#busyRates.shift();
    this.#busyFrom = newest;
  }
}

/** Not finite for times that no clock shows. */
function rateBetween(first: Point, last: Point): number {
  return (last.bytes - first.bytes) * 1000 / (last.atMs - first.atMs);
}
