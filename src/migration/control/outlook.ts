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
  /** The budget less what earlier forecasts of this move were too short by. */
  readonly usableMs: number;
  /** Waiting wire bytes that would just fit; negative: not even an idle machine does. */
  readonly fitBytes: number;
  readonly goodputBytesPerSecond: number;
  /** What the part of the path was found from; null while unknown. */
  readonly roundTripMs: number | null;
  readonly lossRatio: number | null;
}

/** What a pause is forecast from, beside the measurement. */
export interface OutlookInput {
  /** Wire bytes that a switch has to send, and of them, those that leave as fast as the link is. */
  readonly waitingBytes: number;
  readonly forTheLinkBytes: number;
  readonly goodputBytesPerSecond: number;
  readonly dirtyMemoryBytesPerSecond: number;
  readonly dirtyDiskBytesPerSecond: number;
  /** Of the path's packets in the long run; null while unknown. */
  readonly lossRatio: number | null;
  /** At which the link is used while the machine runs. */
  readonly appliedBytesPerSecond: number;
  /** By how much earlier forecasts of this move were too short. */
  readonly shortByMs: number;
}

/** The pause that a switch would bring now. */
export function outlookOf(
  measured: Measurement,
  { maxDowntimeMs }: Pick<Wishes, "maxDowntimeMs">,
  input: OutlookInput,
): Outlook {
  const { handoverWorkMs, path } = measured;
  // What waits in this move's own queue is counted as bytes.
  const roundTripMs = path.minRoundTripMs ?? path.roundTripMs;
  const { goodputBytesPerSecond, lossRatio } = input;
  const marginMsMax = MARGIN_RATIO_MAX * Math.max(0, maxDowntimeMs - handoverWorkMs);
  const marginMs = Math.min(marginMsMax, input.shortByMs);
  const work = { goodputBytesPerSecond, handoverWorkMs };
  const budgetMs = measured.isRunning ? maxDowntimeMs : Infinity;
  const waitingBytes = atPause(input);
  return {
    forecast: forecastDowntime({
      ...work,
      waitingBytes,
      roundTripMs,
      lossRatio,
      sentBeforeBytesPerSecond: input.appliedBytesPerSecond,
    }),
    budgetMs,
    usableMs: budgetMs - marginMs,
    fitBytes: bytesThatFit(budgetMs - marginMs, work),
    goodputBytesPerSecond,
    roundTripMs,
    lossRatio,
  };
}

/** Until the pause the machine writes on, and the link takes what waits for it; a round of the disks
 * that has not begun does not. */
function atPause(input: OutlookInput): number {
  const seconds = RELEASE_MS / 1000;
  const addedMemoryBytes = input.dirtyMemoryBytesPerSecond * seconds;
  const addedDiskBytes = input.dirtyDiskBytesPerSecond * seconds;
  const sentBytes = Math.min(
    input.goodputBytesPerSecond * seconds,
    input.forTheLinkBytes + addedMemoryBytes,
  );
  return Math.max(0, input.waitingBytes + addedMemoryBytes + addedDiskBytes - sentBytes);
}
