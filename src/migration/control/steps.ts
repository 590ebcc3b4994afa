import type { Action } from "./action.ts";
import type { Measurement } from "./measurement.ts";
import type { Outlook } from "./outlook.ts";
import type { RateDecision } from "./rate/rate.ts";
import type { Wishes } from "./wishes.ts";
import { whole } from "./words.ts";

/** Another cap comes into force. */
export function rateAction({ bytesPerSecond, reason, numbers }: RateDecision): Action {
  return { kind: "rate", bytesPerSecond, reason, numbers };
}

/** Memory starts, with the time that it is expected to take. */
export function startAction(
  reason: string,
  { memoryTotalBytes }: Measurement,
  { goodputBytesPerSecond }: Outlook,
  leadMs: number,
): Action {
  return {
    kind: "startMemory",
    reason: `memory starts: ${reason}`,
    numbers: {
      leadMs: whole(leadMs),
      memoryTotalBytes,
      goodputBytesPerSecond: whole(goodputBytesPerSecond),
    },
  };
}

/** Only the disks stay in step. */
export function parkAction(
  reason: string,
  { forecast }: Outlook,
  { maxDowntimeMs, holdMemoryMs }: Wishes,
): Action {
  return {
    kind: "parkMemory",
    reason: `only the disks stay in step: ${reason}`,
    numbers: { budgetedMs: whole(forecast.budgetedMs), budgetMs: maxDowntimeMs, holdMemoryMs },
  };
}

/** The machine pauses, with the forecast of how long. */
export function switchAction(
  reason: string,
  isForced: boolean,
  { forecast, goodputBytesPerSecond, roundTripMs, lossRatio }: Outlook,
  { maxDowntimeMs }: Wishes,
): Action {
  const { downtimeMs, budgetedMs, transferMs, workMs, pathMs, wireBytes } = forecast;
  return {
    kind: "switch",
    isForced,
    reason,
    numbers: {
      predictedDowntimeMs: whole(downtimeMs),
      budgetedMs: whole(budgetedMs),
      transferMs: whole(transferMs),
      workMs: whole(workMs),
      pathMs: whole(pathMs),
      wireBytes: whole(wireBytes),
      goodputBytesPerSecond: whole(goodputBytesPerSecond),
      roundTripMs: whole(roundTripMs),
      lossPercent: lossRatio === null ? null : Number((100 * lossRatio).toFixed(2)),
      budgetMs: maxDowntimeMs,
    },
  };
}
