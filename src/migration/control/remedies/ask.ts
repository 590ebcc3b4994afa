import type { Action } from "../action.ts";
import { shownTime } from "../words.ts";
import { numbersOf, PASSED, type RemedyInput, type Turn } from "./remedy.ts";

/** Room above the least pause that was forecast, so that the next trough fits as well. */
const ROOM_RATIO = 1.15;
const ROOM_MS = 20;
/** And more with each question after an answered one: a set that is written over shows slowly. */
const ROOM_GROWTH = 1.3;
const ROOM_RATIO_MAX = 2;
const STEP_MS = 10;
/** A question whose number is this far off is put again, and not more often than this, ms. */
const OFF_RATIO = 1.3;
const AGAIN_MS = 30_000;

/** Asks for a larger budget, with the number that would do; the question stays until it is answered. */
export class Ask {
  #open: { readonly wantedMs: number; readonly budgetMs: number; readonly atMs: number } | null =
    null;
  #refusedAtBudgetMs: number | null = null;
  /** With which a question was put last, and how often it has been raised since the first one. */
  #askedAtBudgetMs: number | null = null;
  #raised = 0;

  get isOpen(): boolean {
    return this.#open !== null;
  }

  turn(input: RemedyInput): Turn {
    const { judgedMs, leastBudgetedMs, wishes: { maxDowntimeMs: budgetMs } } = input;
    if (this.#refusedAtBudgetMs !== null && budgetMs <= this.#refusedAtBudgetMs) return PASSED;
    if (this.#askedAtBudgetMs !== null && budgetMs > this.#askedAtBudgetMs) {
      this.#raised++;
      this.#askedAtBudgetMs = budgetMs;
    }
    const ratio = Math.min(ROOM_RATIO_MAX, ROOM_RATIO * ROOM_GROWTH ** this.#raised);
    const wantedMs = Math.max(
      budgetMs + STEP_MS,
      Math.ceil((leastBudgetedMs * ratio + ROOM_MS) / STEP_MS) * STEP_MS,
    );
    const open = this.#open;
    if (open !== null) {
      const isOff = wantedMs > OFF_RATIO * open.wantedMs || wantedMs * OFF_RATIO < open.wantedMs;
      if (!isOff || judgedMs - open.atMs < AGAIN_MS) return { kind: "acting", action: null };
    }
    // A pause of the last seconds fits already: the next such moment is the switch's.
    if (open === null && leastBudgetedMs <= budgetMs) return { kind: "acting", action: null };
    this.#open = { wantedMs, budgetMs, atMs: judgedMs };
    this.#askedAtBudgetMs = budgetMs;
    return {
      kind: "acting",
      action: {
        kind: "ask",
        question: { kind: "budget", wantedDowntimeMs: wantedMs },
        reason: `a budget of ${shownTime(wantedMs)} would let the machine switch, ` +
          `${shownTime(budgetMs)} do not: ${input.convergence.reason}`,
        numbers: {
          ...numbersOf(input),
          leastBudgetedMs: Math.round(leastBudgetedMs),
          wantedDowntimeMs: wantedMs,
        },
      },
    };
  }

  /** The answer was no. It holds until the budget grows. */
  refuse(): void {
    this.#refusedAtBudgetMs = this.#open?.budgetMs ?? this.#refusedAtBudgetMs;
  }

  /** True where the open question has been answered: refused, or by a larger budget. */
  isAnswered(budgetMs: number): boolean {
    const open = this.#open;
    return open !== null &&
      (budgetMs > open.budgetMs || this.#refusedAtBudgetMs === open.budgetMs);
  }

  withdraw(reason: string): Action | null {
    const open = this.#open;
    if (open === null) return null;
    this.#open = null;
    const numbers = { wantedDowntimeMs: open.wantedMs };
    return { kind: "withdrawQuestion", reason, numbers };
  }
}
