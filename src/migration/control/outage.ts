import type { Measurement } from "./measurement.ts";

/** The peer counts as silent after this long, or after three round trips where that is longer. */
const SILENCE_MS_MIN = 1000;
const SILENCE_ROUND_TRIPS = 3;
/** After a gap replays come in bursts: what is measured then says nothing about the machine. */
const SETTLE_MS = 1000;
const SETTLE_ROUND_TRIPS = 2;
/** A path below this share of what it was counts as slowed until that has become its measure. */
const SLOWED_RATIO = 0.6;
/** Time in which the measure follows the path, ms: a tenfold drop is accepted after 30 s. */
const REFERENCE_MS = 20_000;

/** Whether anything may be judged now. */
export interface Judgement {
  /** Clock of all detectors and remedies, ms: stands still while nothing can be judged. */
  readonly judgedMs: number;
  /** `gone`: down or silent. `settling`: back, with the figures of the gap still in them. */
  readonly link: "there" | "gone" | "settling";
  readonly silentMs: number;
  /** The path is far below what it was a moment ago: it may come back, so no remedy is taken. */
  readonly isSlowed: boolean;
}

/**
 * Keeps outages out of every judgement: a link that is gone says nothing about the machine, and a
 * detector whose clock ran on would find that nothing shrinks.
 */
export class Outages {
  #lastMs: number | null = null;
  #judgedMs = 0;
  #settledAtMs: number | null = null;
  #referenceBytesPerSecond: number | null = null;

  /** To be called with each measurement, in order. */
  observe(measured: Measurement): Judgement {
    const { nowMs, path, isLinkUp } = measured;
    const passedMs = this.#lastMs === null ? 0 : Math.max(0, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    const roundTripMs = path.roundTripMs ?? 0;
    const silentMs = path.silentMs ?? 0;
    const isGone = !isLinkUp ||
      silentMs > Math.max(SILENCE_MS_MIN, SILENCE_ROUND_TRIPS * roundTripMs);
    if (isGone) {
      this.#settledAtMs = Infinity;
      return this.#judgement("gone", silentMs, false);
    }
    if (this.#settledAtMs === Infinity) {
      this.#settledAtMs = nowMs + SETTLE_MS + SETTLE_ROUND_TRIPS * roundTripMs;
    }
    if (this.#settledAtMs !== null && nowMs < this.#settledAtMs) {
      return this.#judgement("settling", silentMs, false);
    }
    this.#judgedMs += passedMs;
    return this.#judgement("there", silentMs, this.#isSlowed(measured, passedMs));
  }

  /** The machine stood still until now, and nothing was measured: that time is not judged. */
  skip(nowMs: number): void {
    this.#lastMs = nowMs;
  }

  #judgement(link: Judgement["link"], silentMs: number, isSlowed: boolean): Judgement {
    return { judgedMs: this.#judgedMs, link, silentMs, isSlowed };
  }

  /** The measure rises with the path at once and falls slowly, in the same time for each factor. */
  #isSlowed({ path }: Measurement, passedMs: number): boolean {
    const rate = path.bottleneckBytesPerSecond;
    if (rate === null) return false;
    const before = this.#referenceBytesPerSecond;
    this.#referenceBytesPerSecond = before === null || rate >= before
      ? rate
      : rate * Math.pow(before / rate, Math.exp(-passedMs / REFERENCE_MS));
    return rate < SLOWED_RATIO * this.#referenceBytesPerSecond;
  }
}
