import type { PathSample } from "./path_estimate.ts";
import { WindowedLeast } from "./path_estimate.ts";

/** First guess: slow enough for a DSL line's queue, doubled every round trip from there. */
export const START_BYTES_PER_SECOND = 250_000;
/** Below this nothing useful moves; the path is asked to carry it whatever it does. */
export const FLOOR_BYTES_PER_SECOND = 4_000;
/** Above what the transport moves on one core. */
export const CEILING_BYTES_PER_SECOND = 1_000_000_000;

/** Rounds with a standing queue that our own restraint did not shorten: it belongs to others. */
const FOREIGN_QUEUE_ROUNDS = 6;
const STARTUP_GAIN = 2;
/** Start-up ends when a round delivered less than this much more than the best before. */
const STARTUP_GROWTH_MIN = 1.25;
const STARTUP_STALLED_ROUNDS = 3;

/** Where the pacer is; for reports and tests. */
export type PacerPhase = "startup" | "drain" | "cruise";

interface Round {
  startMs: number;
  /** Totals when it began. */
  markBytes: number;
  markCount: number;
  lastMark: number;
  lastMarkAtMs: number;
  transitMs: number | null;
  sentBytes: number;
}

/**
 * Finds the bottleneck's rate and keeps its queue short; pure, time is an argument.
 *
 * Once per round (a round trip, at least `ROUND_MS_MIN`) it looks at what arrived in that round: how
 * fast, how much later than the least transit time (the queue's delay), and how much was lost. While
 * there is no queue the estimate grows, first by little, then faster, so that a faster path is found
 * within a few round trips; a queue means that what arrives is what the bottleneck can do, so that
 * becomes the estimate, and the rate stays below it until the queue is gone. Random loss is no sign
 * of congestion; loss far above the path's usual one is (a queue too short to be seen).
 *
 * Akin to BBR (Cardwell et al., ACM Queue 2016) in measuring the delivery rate, and to TCP Vegas
 * (Brakmo and Peterson, 1995) in judging by delay.
 */
export class Pacer {
  #phase: PacerPhase = "startup";
  #estimate = START_BYTES_PER_SECOND;
  #rate = START_BYTES_PER_SECOND;
  #round: Round | null = null;
  #leastTransit = new WindowedLeast(TRANSIT_WINDOW_MS);
  #bestDelivered = 0;
  #stalledRounds = 0;
  #quietRounds = 0;
  #queuedRounds = 0;
  #usualLoss = 0;
  #sentBytes = 0;
  #tokens = 0;
  #tokensAtMs: number | null = null;
  #minRoundTripMs = 100;

  get phase(): PacerPhase {
    return this.#phase;
  }

  get rateBytesPerSecond(): number {
    return this.#rate;
  }

  /** Null until the bottleneck was seen. */
  get bottleneckBytesPerSecond(): number | null {
    return this.#phase === "startup" ? null : this.#estimate;
  }

  /** Longest chunk that still leaves evenly at this rate. */
  get chunkBytes(): number {
    const bytes = this.#rate * CHUNK_MS / 1000;
    return Math.max(CHUNK_BYTES_LEAST, Math.min(CHUNK_BYTES_MOST, Math.floor(bytes)));
  }

  /** ms until `bytes` may leave; 0: now. */
  waitMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= 0 ? 0 : -this.#tokens * 1000 / this.#rate;
  }

  /** Bytes left, whether they waited or not. */
  sent(bytes: number, nowMs: number): void {
    this.#refill(nowMs);
    this.#tokens -= bytes;
    this.#sentBytes += bytes;
  }

  /** Takes in what the peer reported. */
  take(sample: PathSample, minRoundTripMs: number | null): void {
    if (minRoundTripMs !== null) this.#minRoundTripMs = minRoundTripMs;
    if (sample.transitMs !== null) this.#leastTransit.add(sample.transitMs, sample.nowMs);
    if (Number.isNaN(sample.lastMarkAtMs)) return;
    const round = this.#round;
    if (round === null) {
      this.#begin(sample);
      return;
    }
    if (sample.transitMs !== null) {
      round.transitMs = Math.min(round.transitMs ?? Infinity, sample.transitMs);
    }
    const lengthMs = sample.nowMs - round.startMs;
    if (lengthMs < this.#roundMs() || sample.lastMark === round.lastMark) return;
    this.#end(round, sample, lengthMs);
    this.#begin(sample);
  }

  #begin(sample: PathSample): void {
    this.#round = {
      startMs: sample.nowMs,
      markBytes: sample.markBytes,
      markCount: sample.markCount,
      lastMark: sample.lastMark,
      lastMarkAtMs: sample.lastMarkAtMs,
      transitMs: null,
      sentBytes: this.#sentBytes,
    };
  }

  #end(round: Round, sample: PathSample, lengthMs: number): void {
    const arrivedMs = sample.lastMarkAtMs - round.lastMarkAtMs;
    const least = this.#leastTransit.value;
    if (!(arrivedMs > 0) || round.transitMs === null || least === null) return;
    const delivered = (sample.markBytes - round.markBytes) * 1000 / arrivedMs;
    const marks = sample.lastMark - round.lastMark;
    const lost = Math.max(0, marks - (sample.markCount - round.markCount));
    const queueMs = round.transitMs - least;
    const isLimitedByUs = (this.#sentBytes - round.sentBytes) * 1000 / lengthMs >= 0.8 * this.#rate;
    const isQueued = queueMs > this.#queueTargetMs();
    const isOverrun = lost >= OVERRUN_MARKS_MIN &&
      lost / marks > OVERRUN_RATIO + 3 * this.#usualLoss;
    if (!isQueued && !isOverrun) this.#usualLoss += (lost / marks - this.#usualLoss) / 32;
    if (this.#phase === "startup") {
      this.#startup(delivered, isQueued || isOverrun, isLimitedByUs);
    } else this.#cruise(delivered, queueMs, isQueued, isOverrun, isLimitedByUs, lengthMs, sample);
    this.#estimate = clamp(this.#estimate);
    this.#rate = clamp(this.#rate);
  }

  #startup(delivered: number, isCongested: boolean, isLimitedByUs: boolean): void {
    if (isCongested) {
      this.#estimate = Math.max(delivered, this.#bestDelivered);
      this.#rate = this.#estimate / STARTUP_GAIN;
      this.#phase = "drain";
      this.#quietRounds = 0;
      return;
    }
    if (delivered >= STARTUP_GROWTH_MIN * this.#bestDelivered) this.#stalledRounds = 0;
    else if (isLimitedByUs) this.#stalledRounds++;
    this.#bestDelivered = Math.max(this.#bestDelivered, delivered);
    this.#estimate = Math.max(this.#estimate, this.#bestDelivered);
    this.#rate = Math.max(this.#rate, STARTUP_GAIN * this.#bestDelivered);
    if (this.#stalledRounds < STARTUP_STALLED_ROUNDS) return;
    this.#estimate = this.#bestDelivered;
    this.#rate = this.#estimate;
    this.#phase = "cruise";
  }

  #cruise(
    delivered: number,
    queueMs: number,
    isQueued: boolean,
    isOverrun: boolean,
    isLimitedByUs: boolean,
    lengthMs: number,
    sample: PathSample,
  ): void {
    if (!isQueued && !isOverrun) {
      this.#phase = "cruise";
      this.#queuedRounds = 0;
      this.#estimate = Math.max(this.#estimate, delivered);
      if (isLimitedByUs) {
        this.#estimate *= 1 + Math.min(GROWTH_MOST, GROWTH_LEAST * 2 ** this.#quietRounds++);
      }
      this.#rate = this.#estimate;
      return;
    }
    this.#quietRounds = 0;
    if (!isLimitedByUs && this.#phase !== "drain") return;
    if (++this.#queuedRounds > FOREIGN_QUEUE_ROUNDS && sample.transitMs !== null) {
      this.#leastTransit.reset(sample.transitMs, sample.nowMs);
      this.#queuedRounds = 0;
    }
    // In the drain what arrives is what we sent, not what the bottleneck could do.
    if (this.#queuedRounds === 1) this.#estimate = Math.min(this.#estimate, delivered);
    const excessMs = queueMs - this.#queueTargetMs() / 2;
    this.#rate = this.#estimate *
      Math.min(DRAIN_GAIN_MOST, Math.max(DRAIN_GAIN_LEAST, 1 - excessMs / (2 * lengthMs)));
  }

  #roundMs(): number {
    return Math.max(ROUND_MS_MIN, this.#minRoundTripMs);
  }

  #queueTargetMs(): number {
    return Math.min(
      QUEUE_MS_MAX,
      Math.max(QUEUE_MS_MIN, QUEUE_ROUND_TRIP_RATIO * this.#minRoundTripMs),
    );
  }

  #refill(nowMs: number): void {
    const depth = this.#rate * this.#burstMs() / 1000;
    const gained = (nowMs - (this.#tokensAtMs ?? nowMs)) * this.#rate / 1000;
    this.#tokens = Math.min(depth, this.#tokens + gained);
    this.#tokensAtMs = nowMs;
  }

  #burstMs(): number {
    return Math.min(BURST_MS_MAX, Math.max(BURST_MS_MIN, this.#minRoundTripMs / 16));
  }
}

const TRANSIT_WINDOW_MS = 10_000;
const ROUND_MS_MIN = 30;
const CHUNK_MS = 2;
const CHUNK_BYTES_LEAST = 2_400;
const CHUNK_BYTES_MOST = 16 * 1024;
const QUEUE_ROUND_TRIP_RATIO = 0.15;
const QUEUE_MS_MIN = 2;
const QUEUE_MS_MAX = 40;
const OVERRUN_MARKS_MIN = 4;
const OVERRUN_RATIO = 0.04;
const GROWTH_LEAST = 0.01;
const GROWTH_MOST = 0.25;
const DRAIN_GAIN_MOST = 0.98;
const DRAIN_GAIN_LEAST = 0.5;
const BURST_MS_MIN = 2;
const BURST_MS_MAX = 8;

function clamp(bytesPerSecond: number): number {
  return Math.min(CEILING_BYTES_PER_SECOND, Math.max(FLOOR_BYTES_PER_SECOND, bytesPerSecond));
}
