import type { Forecast } from "./action.ts";
import { backlogOf } from "./backlog.ts";
import { forecastDowntime, overBudgetAtGate } from "./forecast.ts";
import type { Measurement } from "./measurement.ts";

/** What is found with the machine paused at its gate. */
export interface GateCheck {
  /** The pause as it will be, ms of the budget. */
  readonly foundMs: number;
  /** True where the switch has to be undone, unless the operator forced it. */
  readonly isOver: boolean;
  /** Of what is still to come. */
  readonly rest: Forecast;
}

/**
 * The same sum as before the pause, over what is left now.
 *
 * @param goodputBytesPerSecond at which the rest crosses: the link is busy with it
 */
export function checkAtGate(
  measured: Measurement,
  goodputBytesPerSecond: number,
  budgetMs: number,
  pausedMs: number,
): GateCheck {
  const backlog = backlogOf(measured, {
    appliedBytesPerSecond: goodputBytesPerSecond,
    passAgeMs: 0,
  });
  const rest = forecastDowntime({
    waitingBytes: backlog.waitingBytes,
    goodputBytesPerSecond,
    handoverWorkMs: measured.handoverWorkMs,
    roundTripMs: measured.path.minRoundTripMs ?? measured.path.roundTripMs,
    lossRatio: measured.path.lossRatio,
  });
  const foundMs = pausedMs + rest.budgetedMs;
  return { foundMs, isOver: overBudgetAtGate(pausedMs, rest, budgetMs), rest };
}
