import type { Forecast } from "./action.ts";
import { shownTime } from "./words.ts";

/** After an undone switch the next one waits, longer each time, so that it cannot flap. */
const RETRY_MS = 2_000;
const RETRY_MS_MAX = 30_000;
/** How long a pause that fits is left to become shorter still: by its length, ms. */
const PATIENCE_RATIO = 3;
const PATIENCE_MS_MIN = 2_000;
const PATIENCE_MS_MAX = 20_000;
/** Worth waiting for: this much shorter with each second, of a transfer that is this long. */
const SHRINK_MS_PER_S = 150;
const TRANSFER_MS_MIN = 40;
/** Near the least of the last seconds: within this. */
const NEAR_RATIO = 1.15;
const NEAR_MS = 15;
/** One that is not getting shorter is taken at once above this: a moment later it may not fit. */
const SAFE_RATIO = 0.8;
const WINDOW_MS = 10_000;
const SAMPLE_MS = 200;
const SLOPE_MS = 1_000;
/** What forecasts were too short by counts half as much after this long, ms. */
const MARGIN_HALF_MS = 60_000;

/** Whether the moment is right, as far as the pause is concerned. */
export interface SwitchVerdict {
  readonly fits: boolean;
  readonly isRight: boolean;
  readonly reason: string;
}

/**
 * When a pause that fits is taken: at the first moment, or after a short patience where it is still
 * getting shorter or was shorter a moment ago. A load that shrinks no further is not waited for
 * (smart termination; Ibrahim 2011, Zhu 2013, CloudNet): near its least the switch happens at once,
 * and the least of the last seconds is what a larger budget is asked for with.
 */
export class Switching {
  readonly #samples: { readonly atMs: number; readonly budgetedMs: number }[] = [];
  #fitsSinceMs: number | null = null;
  #patienceMs = PATIENCE_MS_MIN;
  #notBeforeMs = 0;
  #retryMs = RETRY_MS;
  #margin = { ms: 0, atMs: 0 };

  /** By how much forecasts were found too short at the gate, fading. */
  marginMs(judgedMs: number): number {
    return this.#margin.ms * Math.pow(0.5, (judgedMs - this.#margin.atMs) / MARGIN_HALF_MS);
  }

  /** Least pause that was forecast in the last seconds; null before any. */
  get leastMs(): number | null {
    let least: number | null = null;
    for (const { budgetedMs } of this.#samples) {
      if (least === null || budgetedMs < least) least = budgetedMs;
    }
    return least;
  }

  /** Another stream, or the machine was slowed: what was forecast before counts no more. */
  restart(): void {
    this.#samples.length = 0;
    this.#fitsSinceMs = null;
  }

  /** @param foundMs the pause that the gate found; null where that was not why */
  undone(judgedMs: number, forecast: Forecast | null, foundMs: number | null): void {
    this.restart();
    this.#notBeforeMs = judgedMs + this.#retryMs;
    this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
    if (foundMs === null || forecast === null) return;
    const shortByMs = Math.max(0, foundMs - forecast.budgetedMs);
    this.#margin = { ms: this.marginMs(judgedMs) + shortByMs, atMs: judgedMs };
  }

  /**
   * To be called with each forecast while memory is copied, its first pass over.
   *
   * @param usableMs of the budget, what a forecast may take
   */
  judge(
    judgedMs: number,
    forecast: Forecast,
    budgetMs: number,
    usableMs = budgetMs,
  ): SwitchVerdict {
    const { budgetedMs, transferMs } = forecast;
    this.#note(judgedMs, budgetedMs);
    if (budgetMs === Infinity) {
      const isRight = judgedMs >= this.#notBeforeMs;
      return { fits: true, isRight, reason: "the machine stands still, no pause to keep short" };
    }
    const budget = `of the ${shownTime(budgetMs)} budget`;
    if (budgetedMs > usableMs) {
      this.#fitsSinceMs = null;
      const kept = usableMs < budgetMs
        ? `, less ${
          shownTime(budgetMs - usableMs)
        } because an earlier one took longer than forecast`
        : "";
      const reason = `the pause would take ${shownTime(budgetedMs)} ${budget}${kept}`;
      return { fits: false, isRight: false, reason };
    }
    if (this.#fitsSinceMs === null) {
      this.#fitsSinceMs = judgedMs;
      const byLengthMs = Math.min(PATIENCE_MS_MAX, PATIENCE_RATIO * transferMs);
      this.#patienceMs = Math.max(PATIENCE_MS_MIN, byLengthMs);
    }
    const takes = `the pause takes ${shownTime(budgetedMs)} ${budget}`;
    if (judgedMs < this.#notBeforeMs) {
      const waitMs = this.#notBeforeMs - judgedMs;
      const reason = `${takes}; ${shownTime(waitMs)} until the next try after an undone one`;
      return { fits: true, isRight: false, reason };
    }
    const isPatient = judgedMs - this.#fitsSinceMs < this.#patienceMs &&
      transferMs > TRANSFER_MS_MIN;
    const shrinkMsPerS = this.#shrinkMsPerS(judgedMs, budgetedMs);
    if (isPatient && shrinkMsPerS === null) {
      return { fits: true, isRight: false, reason: `${takes}, watching it for a second` };
    }
    if (isPatient && shrinkMsPerS! > SHRINK_MS_PER_S) {
      return { fits: true, isRight: false, reason: `${takes}, and is getting shorter` };
    }
    const isSafe = budgetedMs <= SAFE_RATIO * usableMs;
    if (isPatient && isSafe && budgetedMs > NEAR_RATIO * this.leastMs! + NEAR_MS) {
      return { fits: true, isRight: false, reason: `${takes}, and was shorter a moment ago` };
    }
    return { fits: true, isRight: true, reason: takes };
  }

  #note(judgedMs: number, budgetedMs: number): void {
    const samples = this.#samples;
    const last = samples.at(-1);
    if (last && judgedMs - last.atMs < SAMPLE_MS) return;
    samples.push({ atMs: judgedMs, budgetedMs });
    while (samples[0].atMs < judgedMs - WINDOW_MS) samples.shift();
  }

  #shrinkMsPerS(judgedMs: number, budgetedMs: number): number | null {
    const before = this.#samples.findLast(({ atMs }) => judgedMs - atMs >= SLOPE_MS);
    if (before === undefined) return null;
    return (before.budgetedMs - budgetedMs) * 1000 / (judgedMs - before.atMs);
  }
}
