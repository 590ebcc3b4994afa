import type { Forecast } from "./action.ts";
import { bytesThatFit, forecastDowntime } from "./forecast.ts";
import type { Measurement } from "./measurement.ts";
import type { Wishes } from "./wishes.ts";

/** Of the budget beside the work of the hand-over, what earlier forecasts' errors may take. */
const MARGIN_RATIO_MAX = 0.5;

/** From the word until the machine stands at its gate, ms: the copy goes on meanwhile. */
const RELEASE_MS = 110;

/** The pause that a switch would bring now, against what is allowed. */
export interface Outlook {
  readonly forecast: Forecast;
  /** Infinity for a machine that stands still anyway: it has no pause to keep short. */
  readonly budgetMs: number;
  /** Waiting wire bytes that would just fit; negative: not even an idle machine does. */
  readonly fitBytes: number;
  readonly goodputBytesPerSecond: number;
}

/**
 * @param rates at which what waits crosses, and at which the machine adds to it
 * @param shortByMs by how much earlier forecasts of this move were too short
 */
export function outlookOf(
  measured: Measurement,
  { maxDowntimeMs }: Pick<Wishes, "maxDowntimeMs">,
  waitingBytes: number,
  { goodputBytesPerSecond, dirtyBytesPerSecond }: {
    readonly goodputBytesPerSecond: number;
    readonly dirtyBytesPerSecond: number;
  },
  shortByMs: number,
): Outlook {
  const changeBytes = (dirtyBytesPerSecond - goodputBytesPerSecond) * RELEASE_MS / 1000;
  const atPauseBytes = Math.max(0, waitingBytes + changeBytes);
  const { handoverWorkMs, path: { roundTripMs } } = measured;
  const marginMsMax = MARGIN_RATIO_MAX * Math.max(0, maxDowntimeMs - handoverWorkMs);
  const marginMs = Math.min(marginMsMax, shortByMs);
  const work = { goodputBytesPerSecond, handoverWorkMs, marginMs };
  const budgetMs = measured.isRunning ? maxDowntimeMs : Infinity;
  return {
    forecast: forecastDowntime({ ...work, waitingBytes: atPauseBytes, roundTripMs }),
    budgetMs,
    fitBytes: bytesThatFit(budgetMs, work),
    goodputBytesPerSecond,
  };
}
