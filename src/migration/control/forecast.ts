import type { Forecast } from "./action.ts";
import { pauseRecoveryMs } from "./loss_recovery.ts";

/** Device state of a common machine with its description, uncompressed (QEMU: 58 to 160 KB). */
export const DEVICE_STATE_BYTES = 160_000;
/** What of it crosses: it compresses to a third. */
export const DEVICE_STATE_WIRE_BYTES = DEVICE_STATE_BYTES * 0.3;
/** Gate, last bitmap swap, seal, load and `cont` on a LAN: measured 60 to 120 ms under TCG. */
export const HANDOVER_WORK_MS = 90;
/** Goodput assumed before anything was measured: the slowest profile that we ship. */
export const GOODPUT_BYTES_PER_SECOND_ASSUMED = 500_000;

/** How far over the budget a switch may be found at the gate before it is undone. */
const GATE_TOLERANCE = 1.5;
const GATE_TOLERANCE_MS = 100;

/** What a pause is made of. */
export interface ForecastInput {
  /** Wire bytes of memory, disks and everything parked before the link. */
  readonly waitingBytes: number;
  /** At which they cross once the machine stands still. */
  readonly goodputBytesPerSecond: number;
  readonly handoverWorkMs: number;
  readonly roundTripMs: number | null;
  /** At which the link is used while the machine runs; 0 where that is not known. */
  readonly sentBeforeBytesPerSecond?: number;
  /** Of the path's packets; null while unknown. */
  readonly lossRatio: number | null;
}

/**
 * Forecast of the pause if the switch began now: what has to cross, device state included, at the
 * goodput, and the work of the hand-over. The path's own delay, with the repetition of what is
 * likely to get lost, comes on top and is not held against the budget, because no decision here can
 * shorten it (docs/decisions/003-downtime-budget.md).
 */
export function forecastDowntime(input: ForecastInput): Forecast {
  const { goodputBytesPerSecond, handoverWorkMs: workMs, roundTripMs, lossRatio } = input;
  const wireBytes = input.waitingBytes + DEVICE_STATE_WIRE_BYTES;
  const transferMs = wireBytes / Math.max(1, goodputBytesPerSecond) * 1000;
  const { sentBeforeBytesPerSecond } = input;
  const last = {
    wireBytes,
    bytesPerSecond: goodputBytesPerSecond,
    sentBeforeBytesPerSecond,
    roundTripMs,
    lossRatio,
  };
  const pathMs = (roundTripMs ?? 0) / 2 + pauseRecoveryMs(last, DEVICE_STATE_WIRE_BYTES, workMs);
  const budgetedMs = transferMs + workMs;
  return { downtimeMs: budgetedMs + pathMs, budgetedMs, transferMs, workMs, pathMs, wireBytes };
}

/**
 * Waiting wire bytes that would just fit the budget; negative where the hand-over alone is longer,
 * whatever the machine writes.
 */
export function bytesThatFit(
  budgetMs: number,
  { goodputBytesPerSecond, handoverWorkMs }: Pick<
    ForecastInput,
    "goodputBytesPerSecond" | "handoverWorkMs"
  >,
): number {
  const transferMs = budgetMs - handoverWorkMs;
  return transferMs / 1000 * goodputBytesPerSecond - DEVICE_STATE_WIRE_BYTES;
}

/**
 * The last check, with the machine paused at the gate: true where the switch has to be undone.
 *
 * @param elapsedMs since the machine paused
 * @param rest forecast of what has still to cross, and of the work
 */
export function overBudgetAtGate(
  elapsedMs: number,
  rest: Pick<Forecast, "budgetedMs">,
  budgetMs: number,
): boolean {
  return elapsedMs + rest.budgetedMs > gateLimitMs(budgetMs);
}

/** Longest pause that is not undone at the gate: forecasts are never exact, and undoing costs too. */
export function gateLimitMs(budgetMs: number): number {
  return budgetMs * GATE_TOLERANCE + GATE_TOLERANCE_MS;
}
