import type { Action, Convergence } from "../action.ts";
import type { Measurement } from "../measurement.ts";
import type { Wishes } from "../wishes.ts";

/** What a remedy is found from. Rates are wire bytes per second unless they say raw. */
export interface RemedyInput {
  readonly judgedMs: number;
  readonly measured: Measurement;
  readonly wishes: Wishes;
  readonly convergence: Convergence;
  /** How long the verdict has been that it does not converge, ms. */
  readonly badForMs: number;
  readonly goodputBytesPerSecond: number;
  readonly dirtyMemoryBytesPerSecond: number;
  readonly dirtyDiskBytesPerSecond: number;
  /** Present forecast, and the least of the last seconds; ms of the budget. */
  readonly budgetedMs: number;
  readonly leastBudgetedMs: number;
}

/**
 * What a remedy says when it is its turn. `acting`: it has something under way, those after it wait.
 * `passed`: it cannot help, or has done all that it can.
 */
export type Turn = { readonly kind: "acting"; readonly action: Action | null } | {
  readonly kind: "passed";
};

export const PASSED: Turn = { kind: "passed" };

/** Share of the link that throttles leave to what the machine writes. */
export const LOAD_RATIO = 0.8;

/** The budget is shorter than the hand-over alone: however slow the machine is, nothing fits. */
export function isBeyondMachine({ convergence }: RemedyInput): boolean {
  return (convergence.numbers.fitBytes ?? 0) < 0;
}

/** The numbers that every remedy's reason rests on. */
export function numbersOf(input: RemedyInput): Record<string, number | null> {
  return {
    ...input.convergence.numbers,
    budgetMs: input.wishes.maxDowntimeMs,
    budgetedMs: Math.round(input.budgetedMs),
    memoryBytesPerSecond: Math.round(input.dirtyMemoryBytesPerSecond),
    diskBytesPerSecond: Math.round(input.dirtyDiskBytesPerSecond),
  };
}
