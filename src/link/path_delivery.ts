import { steadyWindowMs } from "./delivery_window.ts";
import type { Feedback } from "./path_datagram.ts";
import { WindowedLeast } from "./path_window.ts";

/** Marks that arrive out of order by up to this are not taken for lost. */
const REORDER_MS = 20;
/** The path's usual loss is the least of what so many marks each met within this time. */
const USUAL_LOSS_MARKS = 200;
const NEW_LOSS_MARKS = 25;
const USUAL_LOSS_WINDOW_MS = 10_000;
/** Where marks overtake each other, loss is told by so many times more than ever came in late. */
const OVERTAKEN_SHARE = 4;
/**
 * Below this round trip marks that overtake each other have left this computer that way, and what
 * came in late once would for long hide the losses by which so short a path's queue is kept short.
 */
const OVERTAKEN_ROUND_TRIP_MS_MIN = 10;

/** How fast marked bytes lately went and arrived. */
export interface DeliverySample {
  /** At which they were sent. */
  readonly sentBytesPerSecond: number;
  /**
   * At which the path carried them: what it usually loses at random counts as carried, what it lost
   * beyond that does not. Never above the rate at which they were sent.
   */
  readonly carriedBytesPerSecond: number;
  /** The same, where it left a queue that we fill slower than that. */
  readonly arrivedBytesPerSecond: number;
  /** Loss of marks in this time beyond what is usual; negative where some were overtaken before. */
  readonly excessLossRatio: number;
  /** Loss among the last so many marks, once for every so many; null in between. */
  readonly newLossRatio: number | null;
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
}

/** Follows the marks of one direction from sending to arrival; pure, time is an argument. */
export class DeliveryRate {
  /** Unsettled marks and one before them; the first has number `#firstNumber`. */
  #marks: SentMark[] = [{ sentMs: -Infinity, totalBytes: 0 }];
  #firstNumber = 0;
  #settledNumber = 0;
  #points: Point[] = [];
  readonly #usualLoss = new WindowedLeast(USUAL_LOSS_WINDOW_MS);
  #usualLossFrom: Point | null = null;
  #newLossFrom: Point | null = null;
  /** Marks lost between two reports; negative where more came in late than were lost. */
  readonly #lost = new WindowedLeast(USUAL_LOSS_WINDOW_MS);

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

  /** Takes in a plausible report; a sample when it covers a long enough time, `windowMs`. */
  take(
    feedback: Feedback,
    minRoundTripMs: number,
    windowMs = steadyWindowMs(minRoundTripMs),
  ): DeliverySample | null {
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
    };
    this.#points.push(newest);
    // The youngest point that is a window away; older ones are of no more use.
    let start = 0;
    for (let at = 1; at < this.#points.length; at++) {
      if (this.#points[at].arrivedAtMs <= newest.arrivedAtMs - windowMs) start = at;
    }
    this.#points.splice(0, start);
    const first = this.#points[0];
    const arrivedMs = newest.arrivedAtMs - first.arrivedAtMs;
    if (arrivedMs < windowMs) return null;
    const newLossRatio = this.#watchLoss(newest, minRoundTripMs);
    const lossRatio = lossBetween(first, newest);
    // Negative where marks that were overtaken come in; their mean is none.
    const excess = lossRatio - Math.max(0, this.#usualLoss.value ?? 0);
    const bytes = newest.sentBytes - first.sentBytes;
    const sentMs = Math.max(1, newest.sentMs - first.sentMs);
    const carriedBytes = bytes * Math.min(1, 1 - excess);
    return {
      sentBytesPerSecond: bytes * 1000 / sentMs,
      carriedBytesPerSecond: carriedBytes * 1000 / Math.max(arrivedMs, sentMs),
      arrivedBytesPerSecond: bytes * (1 - excess) * 1000 / arrivedMs,
      excessLossRatio: excess,
      newLossRatio,
    };
  }

  #watchLoss(newest: Point, minRoundTripMs: number): number | null {
    this.#usualLossFrom ??= newest;
    if (newest.number - this.#usualLossFrom.number >= USUAL_LOSS_MARKS) {
      this.#usualLoss.add(lossBetween(this.#usualLossFrom, newest), newest.sentMs);
      this.#usualLossFrom = newest;
    }
    const from = this.#newLossFrom ??= newest;
    const marks = newest.number - from.number;
    const overtaken = minRoundTripMs < OVERTAKEN_ROUND_TRIP_MS_MIN
      ? 0
      : -Math.min(0, this.#lost.value ?? 0);
    if (marks < Math.max(NEW_LOSS_MARKS, OVERTAKEN_SHARE * overtaken)) return null;
    this.#newLossFrom = newest;
    const lost = marks * lossBetween(from, newest);
    this.#lost.add(lost, newest.sentMs);
    return Math.max(0, lost - overtaken) / marks;
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

function lossBetween(first: Point, last: Point): number {
  return 1 - (last.arrivedCount - first.arrivedCount) / (last.number - first.number);
}
