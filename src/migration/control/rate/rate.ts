import type { RatePolicy, Wishes } from "../wishes.ts";
import { ClarkRate } from "./clark.ts";
import { FairRate } from "./fair.ts";
import { fixedRate } from "./fixed.ts";
import type { RateDecision, RateInput, RateRule } from "./policy.ts";
import { scheduledRate } from "./schedule.ts";

export type { RateDecision, RateInput } from "./policy.ts";

/** Smaller changes of a cap are not worth a word, and more often than this nobody hears of one. */
const CHANGE_RATIO_MIN = 0.03;
const CHANGE_INTERVAL_MS = 500;

/** The rule that a wish stands for. */
export function ruleOf(wish: Wishes["rate"]): RateRule {
  if (wish === null || typeof wish === "number") return fixedRate(wish);
  switch (wish.policy) {
    case "fixed":
      return fixedRate(wish.bytesPerSecond);
    case "clark":
      return new ClarkRate(wish);
    case "fair":
      return new FairRate(wish);
    case "schedule":
      return scheduledRate(wish);
  }
}

/**
 * The cap of a move: follows the wish, which may change at any time, and says when the cap that is in
 * force has to be another one.
 */
export class Rate {
  #wish: number | RatePolicy | null | undefined = undefined;
  #wishText = "";
  #rule: RateRule = fixedRate(null);
  #inForce: number | null = null;
  #changedAtMs = -Infinity;
  #latest: RateDecision | null = null;

  /** In force now; null is none. */
  get bytesPerSecond(): number | null {
    return this.#inForce;
  }

  /** What the last round of the present rule may use. */
  get finalBytesPerSecond(): number | null {
    return this.#latest?.finalBytesPerSecond ?? null;
  }

  /**
   * @param mayStep false while nothing can be judged: then only another wish, or a rule that does not
   * follow the path, changes the cap
   * @returns the cap that has to come into force, or null where that in force is right
   */
  decide(wish: Wishes["rate"], input: RateInput, mayStep: boolean): RateDecision | null {
    const isNew = this.#take(wish);
    if (!mayStep && !isNew && this.#rule.follows) return null;
    const decision = this.#rule.decide(input);
    this.#latest = decision;
    const { judgedMs } = input;
    const isWorthIt = differs(this.#inForce, decision.bytesPerSecond);
    const isEarly = judgedMs - this.#changedAtMs < CHANGE_INTERVAL_MS;
    if (decision.bytesPerSecond === this.#inForce) return null;
    if (!isNew && (!isWorthIt || isEarly)) return null;
    return this.#enforce(decision, judgedMs);
  }

  /** The machine is about to stand still. @returns as `decide` */
  decideLast(judgedMs: number): RateDecision | null {
    const latest = this.#latest;
    if (latest === null || !differs(this.#inForce, latest.finalBytesPerSecond)) return null;
    const reason = "the last round, with the machine paused, goes at full speed";
    return this.#enforce(
      { ...latest, bytesPerSecond: latest.finalBytesPerSecond, reason },
      judgedMs,
    );
  }

  #enforce(decision: RateDecision, judgedMs: number): RateDecision {
    const { bytesPerSecond } = decision;
    const numbers = { ...decision.numbers, bytesPerSecond, beforeBytesPerSecond: this.#inForce };
    this.#inForce = bytesPerSecond;
    this.#changedAtMs = judgedMs;
    return { ...decision, numbers };
  }

  /** True where the wish is another one than before. */
  #take(wish: Wishes["rate"]): boolean {
    if (wish === this.#wish) return false;
    this.#wish = wish;
    const text = JSON.stringify(wish);
    if (text === this.#wishText) return false;
    this.#wishText = text;
    this.#rule = ruleOf(wish);
    return true;
  }
}

function differs(before: number | null, after: number | null): boolean {
  if (before === null || after === null) return before !== after;
  return Math.abs(after - before) >= CHANGE_RATIO_MIN * before;
}
