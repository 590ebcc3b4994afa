/**
 * When to switch: pure. The budget (`maxDowntimeMs`) is compared with what the move itself adds to
 * the pause: what still has to cross, and the hand-over work at both machines. The path's own delay
 * comes on top, because no decision here can shorten it (docs/decisions/003-downtime-budget.md).
 */
export interface SwitchMeasurement {
  /** Dirty memory by the machine's own account; null before the first full pass is known. */
  readonly memoryRemainingBytes: number | null;
  /** True while the machine is still in its first pass over memory. */
  readonly firstPass: boolean;
  /** Wire bytes read from the machine that the peer has not applied yet. */
  readonly parkedWireBytes: number;
  readonly diskDirtyBytes: number;
  /** Wire bytes for each raw byte, measured on what was sent lately. */
  readonly memoryWireRatio: number;
  readonly diskWireRatio: number;
  readonly goodputBytesPerSecond: number | null;
  readonly roundTripMs: number | null;
}

/** Device state of a common machine with its description, uncompressed (reference: 58 to 160 KB). */
export const DEVICE_STATE_BYTES = 160_000;
/** Gate, last bitmap swap, seal, load and `cont` on a LAN: measured 60 to 120 ms under TCG. */
export const HANDOVER_WORK_MS = 90;
/** Goodput assumed before anything was measured: the slowest profile that we ship. */
export const GOODPUT_BYTES_PER_SECOND_ASSUMED = 500_000;

export interface Prediction {
  /** Expected pause as its clients see it: transfer, work and one way to the destination. */
  readonly downtimeMs: number;
  /** The part that the budget limits. */
  readonly budgetedMs: number;
  readonly transferMs: number;
  readonly pathMs: number;
}

/** Forecast of the pause if the switch began now. */
export function predictDowntime(measured: SwitchMeasurement): Prediction {
  const wireBytes = measured.parkedWireBytes +
    (measured.memoryRemainingBytes ?? 0) * measured.memoryWireRatio +
    measured.diskDirtyBytes * measured.diskWireRatio +
    DEVICE_STATE_BYTES * 0.3;
  const goodput = measured.goodputBytesPerSecond ?? GOODPUT_BYTES_PER_SECOND_ASSUMED;
  const transferMs = wireBytes / Math.max(1, goodput) * 1000;
  const pathMs = (measured.roundTripMs ?? 0) / 2;
  const budgetedMs = transferMs + HANDOVER_WORK_MS;
  return { downtimeMs: budgetedMs + pathMs, budgetedMs, transferMs, pathMs };
}

export type SwitchDecision = {
  readonly action: "switch" | "wait";
  readonly reason: string;
  readonly prediction: Prediction;
};

/**
 * Decides whether the pause would fit the budget now.
 *
 * @param budgetMs Infinity for a machine that stands still anyway: it has no pause
 */
export function decideSwitch(measured: SwitchMeasurement, budgetMs: number): SwitchDecision {
  const prediction = predictDowntime(measured);
  if (measured.memoryRemainingBytes === null || measured.firstPass) {
    return { action: "wait", reason: "memory is still in its first pass", prediction };
  }
  if (budgetMs === Infinity) {
    return {
      action: "switch",
      reason: "the machine stands still, no pause to keep short",
      prediction,
    };
  }
  const fits = prediction.budgetedMs <= budgetMs;
  const figures = `${Math.round(prediction.budgetedMs)} ms of the ${budgetMs} ms budget`;
  return fits
    ? { action: "switch", reason: `the pause takes ${figures}`, prediction }
    : { action: "wait", reason: `the pause would take ${figures}`, prediction };
}

/** How far over the budget a switch may be found at the gate before it is undone. */
const GATE_TOLERANCE = 1.5;
const GATE_TOLERANCE_MS = 100;

/** The last check, with the machine paused at the gate: true where the switch has to be undone. */
export function overBudgetAtGate(
  elapsedMs: number,
  remaining: Prediction,
  budgetMs: number,
): boolean {
  return elapsedMs + remaining.budgetedMs > budgetMs * GATE_TOLERANCE + GATE_TOLERANCE_MS;
}
