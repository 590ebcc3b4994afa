import type { Feedback } from "./path_datagram.ts";

/** How long a rate is averaged: half a round trip, within these bounds. */
const WINDOW_MS_MIN = 25;
const WINDOW_MS_MAX = 150;
/** Marks that arrive out of order by up to this are not taken for lost. */
const REORDER_MS = 20;

/** How fast marked bytes lately arrived. */
export interface DeliverySample {
  /** Arrived marks' bytes per second, never above the rate at which they were sent. */
  readonly bytesPerSecond: number;
  /** Share of the marks of this window that did not arrive. */
  readonly lossRatio: number;
  readonly markCount: number;
}

interface SentMark {
  readonly sentMs: number;
  /** Bytes up to and including this one's chunk. */
  readonly totalBytes: number;
}

interface Point {
  readonly number: number;
  readonly sentMs: number;
  readonly sentBytes: number;
  readonly arrivedAtMs: number;
  readonly arrivedCount: number;
  readonly arrivedBytes: number;
}

/** Follows the marks of one direction from sending to arrival; pure, time is an argument. */
export class DeliveryRate {
  /** Unsettled marks and one before them; the first has number `#firstNumber`. */
  #marks: SentMark[] = [{ sentMs: -Infinity, totalBytes: 0 }];
  #firstNumber = 0;
  #settledNumber = 0;
  #points: Point[] = [];

  /** Bytes whose marks neither arrived nor are known to be lost. */
  get inFlightBytes(): number {
    const last = this.#marks[this.#marks.length - 1];
    return last.totalBytes - this.#mark(this.#settledNumber).totalBytes;
  }

  /** Notes a chunk that leaves now; returns the number of its mark, from 1. */
  markSent(sentMs: number, chunkBytes: number): number {
    const { totalBytes } = this.#marks[this.#marks.length - 1];
    this.#marks.push({ sentMs, totalBytes: totalBytes + chunkBytes });
    return this.#firstNumber + this.#marks.length - 1;
  }

  /** True for a report that this sender can have caused. */
  isPlausible(feedback: Feedback): boolean {
    return feedback.lastMark < this.#firstNumber + this.#marks.length;
  }

  /** Takes in a plausible report; a sample when it covers a long enough time. */
  take(feedback: Feedback, minRoundTripMs: number): DeliverySample | null {
    this.#settle(feedback);
    const previous = this.#points.at(-1);
    if (Number.isNaN(feedback.lastMarkAtMs) || feedback.lastMark <= (previous?.number ?? 0)) {
      return null;
    }
    if (feedback.lastMark < this.#firstNumber) return null;
    const newest: Point = {
      number: feedback.lastMark,
      sentMs: this.#mark(feedback.lastMark).sentMs,
      sentBytes: this.#mark(feedback.lastMark).totalBytes,
      arrivedAtMs: feedback.lastMarkAtMs,
      arrivedCount: feedback.markCount,
      arrivedBytes: feedback.markBytes,
    };
    this.#points.push(newest);
    const windowMs = Math.min(WINDOW_MS_MAX, Math.max(WINDOW_MS_MIN, minRoundTripMs / 2));
    // The youngest point that is a window away; older ones are of no more use.
    let start = 0;
    for (let at = 1; at < this.#points.length; at++) {
      if (this.#points[at].arrivedAtMs <= newest.arrivedAtMs - windowMs) start = at;
    }
    this.#points.splice(0, start);
    const first = this.#points[0];
    const arrivedMs = newest.arrivedAtMs - first.arrivedAtMs;
    if (arrivedMs < windowMs) return null;
    const markCount = newest.number - first.number;
    const lossRatio = Math.max(0, 1 - (newest.arrivedCount - first.arrivedCount) / markCount);
    const bytes = Math.min(
      newest.arrivedBytes - first.arrivedBytes,
      newest.sentBytes - first.sentBytes,
    );
    const spanMs = Math.max(arrivedMs, newest.sentMs - first.sentMs);
    // A pause of ours longer than the window says nothing about the path.
    return { bytesPerSecond: bytes * 1000 / spanMs, lossRatio, markCount };
  }

  /** Everything sent well before what the peer has answered has arrived or is lost. */
  #settle(feedback: Feedback): void {
    let settled = Math.max(this.#settledNumber, feedback.lastMark);
    const beforeMs = feedback.echoedSentMs - REORDER_MS;
    while (
      settled + 1 < this.#firstNumber + this.#marks.length &&
      this.#mark(settled + 1).sentMs < beforeMs
    ) settled++;
    this.#settledNumber = settled;
    const keptFrom = Math.min(settled, this.#points[0]?.number ?? settled);
    // In one go, and seldom.
    if (keptFrom - this.#firstNumber < 256) return;
    this.#marks = this.#marks.slice(keptFrom - this.#firstNumber);
    this.#firstNumber = keptFrom;
  }

  #mark(number: number): SentMark {
    return this.#marks[number - this.#firstNumber];
  }
}
