import type { DeliverySample } from "./path_delivery.ts";
import { WindowedLeast } from "./path_window.ts";

/** First guess: slow enough for a DSL line, doubled every round trip from there. */
export const START_BYTES_PER_SECOND = 500_000;
/** Below this nothing useful moves; the path is asked to carry it whatever it does. */
export const FLOOR_BYTES_PER_SECOND = 4_000;
/** Above what the transport moves on one core. */
export const CEILING_BYTES_PER_SECOND = 1_000_000_000;

/** Queueing delay that is allowed: this share of the least round trip, within these bounds. */
const QUEUE_RATIO = 0.15;
const QUEUE_MS_MIN = 2.5;
const QUEUE_MS_MAX = 40;
/** How strongly the rate answers to the queue: 1 would drain it within one round trip. */
const DRAIN = 0.5;
const GAIN_MIN = 0.5;
/** What is asked for beyond the estimate while there is no queue. */
const PROBE_LEAST = 0.04;
const PROBE_MOST = 0.5;
const PROBE_STARTUP = 1;
/** A probe has found room when the estimate grew by this share of what was asked for. */
const PROBE_FOUND = 0.5;
/** Start-up ends without a queue when three round trips brought less than this. */
const STARTUP_GROWTH_MIN = 1.25;
const STARTUP_STALLED_ROUND_TRIPS = 3;
/** The estimate is the best rate of this many round trips. */
const ESTIMATE_ROUND_TRIPS = 8;
/** A queue that stays this long is not ours to drain. */
const FOREIGN_ROUND_TRIPS = 10;
const FOREIGN_MS_MIN = 1_000;
/** Every so often the rate dips, so that an empty queue is seen and the least transit is true. */
const DIP_INTERVAL_MS = 4_000;
const DIP_GAIN = 0.8;
const TRANSIT_WINDOW_MS = 10_000;
/** Two feedbacks and the timers between them: what the loop is late by beside the round trip. */
const LOOP_MS_MIN = 20;

export type PacerPhase = "startup" | "cruise";

/** What one feedback tells the pacer. */
export interface PacerInput {
  readonly nowMs: number;
  /** Least one-way time lately, in the difference of both clocks; null without a mark. */
  readonly transitMs: number | null;
  readonly delivery: DeliverySample | null;
  readonly minRoundTripMs: number;
  /** True when the pacer, and not the lack of data, decided how much was sent. */
  readonly isPaced: boolean;
}

/**
 * Finds the bottleneck's rate and keeps its queue short; pure, time is an argument.
 *
 * The estimate is the best delivery rate of the last round trips. The rate is the estimate times a
 * gain: above one while there is no queue (by little, by more the longer that finds room, by two at
 * the start), below one in proportion to the queue's delay, so that a short queue remains and the
 * link never idles. The estimate only ever grows by what has arrived, so asking for too much does
 * not raise it. Random loss is no sign of congestion.
 *
 * Akin to BBR (Cardwell et al., ACM Queue 2016) in measuring the delivery rate, to TCP Vegas
 * (Brakmo and Peterson, 1995) and Copa (Arun and Balakrishnan, NSDI 2018) in judging by delay.
 */
export class Pacer {
  #phase: PacerPhase = "startup";
  #estimate = START_BYTES_PER_SECOND;
  #rate = START_BYTES_PER_SECOND;
  #probe = PROBE_STARTUP;
  #best: { atMs: number; bytesPerSecond: number }[] = [];
  readonly #leastTransit = new WindowedLeast(TRANSIT_WINDOW_MS);
  /** Start of the present probe, and the estimate then. */
  #probeSinceMs: number | null = null;
  #probeFrom = START_BYTES_PER_SECOND;
  /** Since when the queue is longer than wanted. */
  #queuedSinceMs: number | null = null;
  #queueMs = 0;
  #dipFromMs: number | null = null;
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

  /** Delay in the bottleneck's queue, as far as it can be told from clocks that differ. */
  get queueMs(): number {
    return this.#queueMs;
  }

  /** Bytes that may be under way at once: what fills path and a short queue. */
  get windowBytes(): number {
    const ms = this.#minRoundTripMs + this.#targetMs() + LOOP_MS_MIN / 2;
    return Math.max(64 * 1024, (1 + this.#probe) * this.#estimate * ms / 1000);
  }

  /** How much of missed turns may be caught up with at once. */
  get burstMs(): number {
    return Math.min(8, Math.max(2, this.#minRoundTripMs / 16));
  }

  take(input: PacerInput): void {
    const { nowMs, transitMs, delivery, isPaced } = input;
    this.#minRoundTripMs = input.minRoundTripMs;
    if (transitMs !== null) {
      this.#leastTransit.add(transitMs, nowMs);
      this.#queueMs = transitMs - (this.#leastTransit.value as number);
    }
    if (delivery !== null) this.#estimateFrom(delivery, nowMs, isPaced);
    this.#watchQueue(transitMs, nowMs);
    if (this.#phase === "startup") this.#watchStartup(nowMs, isPaced);
    else this.#watchProbe(nowMs, isPaced);
    this.#rate = clamp(this.#estimate * this.#gain(nowMs, isPaced));
  }

  #estimateFrom({ bytesPerSecond }: DeliverySample, nowMs: number, isPaced: boolean): void {
    const windowMs = ESTIMATE_ROUND_TRIPS * this.#loopMs();
    // What we did not ask for could not arrive: it must not pull the estimate down.
    const known = isPaced ? bytesPerSecond : Math.max(bytesPerSecond, this.#estimate);
    this.#best = this.#best.filter((entry) =>
      entry.bytesPerSecond > known && entry.atMs > nowMs - windowMs
    );
    this.#best.push({ atMs: nowMs, bytesPerSecond: known });
    this.#estimate = clamp(this.#best[0].bytesPerSecond);
  }

  #watchQueue(transitMs: number | null, nowMs: number): void {
    if (this.#queueMs <= this.#targetMs()) {
      this.#queuedSinceMs = null;
      return;
    }
    this.#queuedSinceMs ??= nowMs;
    const queuedMs = nowMs - this.#queuedSinceMs;
    // A queue in spite of our restraint: the bottleneck has become slower, believe the latest.
    const loopMs = this.#loopMs();
    if (queuedMs > 2 * loopMs) {
      this.#best = this.#best.filter(({ atMs }) => atMs > nowMs - loopMs);
    }
    if (queuedMs > Math.max(FOREIGN_MS_MIN, FOREIGN_ROUND_TRIPS * loopMs) && transitMs !== null) {
      this.#leastTransit.reset(transitMs, nowMs);
      this.#queuedSinceMs = null;
    }
  }

  #watchStartup(nowMs: number, isPaced: boolean): void {
    if (this.#queueMs > this.#targetMs()) return this.#cruise(nowMs);
    if (this.#probeSinceMs === null || this.#estimate >= STARTUP_GROWTH_MIN * this.#probeFrom) {
      this.#restartProbe(nowMs);
    } else if (!isPaced) this.#probeSinceMs = nowMs;
    else if (nowMs - this.#probeSinceMs > STARTUP_STALLED_ROUND_TRIPS * this.#loopMs()) {
      this.#cruise(nowMs);
    }
  }

  #cruise(nowMs: number): void {
    this.#phase = "cruise";
    this.#probe = PROBE_LEAST;
    this.#dipFromMs = nowMs + DIP_INTERVAL_MS;
    this.#restartProbe(nowMs);
  }

  #watchProbe(nowMs: number, isPaced: boolean): void {
    const since = this.#probeSinceMs;
    if (since === null || !isPaced || this.#queueMs > this.#targetMs() / 2) {
      this.#probe = PROBE_LEAST;
      this.#restartProbe(nowMs);
    } else if (nowMs - since > 2 * this.#loopMs()) {
      const found = this.#estimate >= this.#probeFrom * (1 + PROBE_FOUND * this.#probe);
      this.#probe = found ? Math.min(PROBE_MOST, 2 * this.#probe) : PROBE_LEAST;
      this.#restartProbe(nowMs);
    }
  }

  #restartProbe(nowMs: number): void {
    this.#probeSinceMs = nowMs;
    this.#probeFrom = this.#estimate;
  }

  #gain(nowMs: number, isPaced: boolean): number {
    const wantedMs = this.#targetMs() / 2;
    if (this.#dipFromMs !== null && nowMs >= this.#dipFromMs) {
      if (nowMs < this.#dipFromMs + this.#loopMs() && isPaced) return DIP_GAIN;
      this.#dipFromMs = nowMs + DIP_INTERVAL_MS;
    }
    const excessMs = this.#queueMs - wantedMs;
    if (excessMs <= 0) {
      return 1 + this.#probe * (this.#phase === "startup" ? 1 : -excessMs / wantedMs);
    }
    return Math.max(GAIN_MIN, 1 - DRAIN * excessMs / this.#loopMs());
  }

  #targetMs(): number {
    return Math.min(QUEUE_MS_MAX, Math.max(QUEUE_MS_MIN, QUEUE_RATIO * this.#minRoundTripMs));
  }

  /** From a change of the rate until its effect is seen. */
  #loopMs(): number {
    return this.#minRoundTripMs + LOOP_MS_MIN;
  }
}

function clamp(bytesPerSecond: number): number {
  return Math.min(CEILING_BYTES_PER_SECOND, Math.max(FLOOR_BYTES_PER_SECOND, bytesPerSecond));
}
