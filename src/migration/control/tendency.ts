import type { Convergence } from "./action.ts";
import type { Estimate } from "./estimate.ts";
import type { Measurement } from "./measurement.ts";
import type { Outlook } from "./outlook.ts";
import { shownBytes, shownRate, shownTime, whole } from "./words.ts";

/** A copy that needs longer than this to fit, and longer than it has taken, does not converge. */
const HORIZON_MS = 120_000;
/** A tendency counts when it has held this long after the first look; its end as well, ms. */
const CONFIRM_MS = 3_000;

/** What the verdict is made from. */
export interface TendencyInput {
  /** Judged time since the move began. */
  readonly judgedMs: number;
  readonly measured: Measurement;
  /** The link carries far less than a moment ago: it may come back, so that is no finding yet. */
  readonly isSlowed: boolean;
  readonly estimate: Estimate;
  readonly outlook: Outlook;
}

/**
 * Says early that a copy will not converge: what remains does not shrink, or so slowly that it would
 * take longer than anybody waits. In the spirit of AdaMig (2021), which looks at the tendency of
 * several rounds instead of one figure; here of several seconds, because the pool before the link
 * makes passes short.
 */
export class Tendency {
  /** Since when looks say so, ms of judged time. */
  #badSinceMs: number | null = null;
  #goodSinceMs: number | null = null;
  #isBad = false;
  #verdictSinceMs: number | null = null;

  /** How long the verdict has been `notConverging`, ms of judged time. */
  badForMs(judgedMs: number): number {
    return this.#isBad && this.#verdictSinceMs !== null ? judgedMs - this.#verdictSinceMs : 0;
  }

  /** Something was done about it: only what comes after counts. */
  restart(): void {
    this.#badSinceMs = null;
    this.#goodSinceMs = null;
    this.#isBad = false;
    this.#verdictSinceMs = null;
  }

  judge(input: TendencyInput): Convergence {
    const { judgedMs, estimate: { backlog: { waitingBytes } }, outlook: { fitBytes } } = input;
    const flow = input.isSlowed ? null : input.estimate.flow;
    if (flow === null) {
      return { verdict: "unknown", reason: unknownBecause(input), numbers: numbersOf(input, null) };
    }
    const shrinkBytesPerSecond = (flow.fromBytes - flow.toBytes) * 1000 / flow.spanMs;
    const tooMuchBytes = waitingBytes - fitBytes;
    const fitsInMs = tooMuchBytes <= 0
      ? 0
      : fitBytes < 0 || shrinkBytesPerSecond <= 0
      ? Infinity
      : tooMuchBytes / shrinkBytesPerSecond * 1000;
    this.#note(judgedMs, fitsInMs <= Math.max(HORIZON_MS, judgedMs));
    // What fits can be switched: nothing has to be confirmed.
    if (tooMuchBytes <= 0) this.restart();
    const numbers = numbersOf(input, fitsInMs);
    if (!this.#isBad) {
      if (this.#badSinceMs !== null) {
        const reason = "what remains has stopped shrinking, watching whether it stays so";
        return { verdict: "unknown", reason, numbers };
      }
      const reason = tooMuchBytes <= 0
        ? "what remains fits the budget"
        : `what remains (${shownBytes(waitingBytes)}) shrinks, and fits the budget in about ` +
          shownTime(fitsInMs);
      return { verdict: "converging", reason, numbers };
    }
    return {
      verdict: "notConverging",
      reason: fitBytes < 0
        ? `the budget of ${shownTime(input.outlook.budgetMs)} is shorter than the hand-over alone`
        : reasonOf(input),
      numbers,
    };
  }

  #note(judgedMs: number, isGood: boolean): void {
    if (isGood) this.#badSinceMs = null;
    else this.#goodSinceMs = null;
    const sinceMs = isGood ? (this.#goodSinceMs ??= judgedMs) : (this.#badSinceMs ??= judgedMs);
    if (this.#isBad !== !isGood && judgedMs - sinceMs >= CONFIRM_MS) {
      this.#isBad = !isGood;
      this.#verdictSinceMs = judgedMs;
    }
  }
}

function unknownBecause({ measured, isSlowed, estimate }: TendencyInput): string {
  if (isSlowed) return "the link carries far less than a moment ago, watching whether it stays so";
  if (measured.stage === "firstRound") return "the disks are in their first round";
  if (measured.stage === "memory" && !estimate.isInStep) return "memory is in its first pass";
  return "too little was seen since the last change";
}

function reasonOf({ estimate, outlook }: TendencyInput): string {
  const { fitBytes, budgetMs, goodputBytesPerSecond } = outlook;
  const dirtyBytesPerSecond = dirtyOf(estimate);
  const remains =
    `what remains (${shownBytes(estimate.backlog.waitingBytes)}) does not shrink to ` +
    `the ${shownBytes(fitBytes)} that fit the budget of ${shownTime(budgetMs)}`;
  return dirtyBytesPerSecond > goodputBytesPerSecond
    ? `the machine writes ${shownRate(dirtyBytesPerSecond)} that have to cross, the link carries ` +
      `${shownRate(goodputBytesPerSecond)}: ${remains}`
    : `the machine writes as much as the link carries (${shownRate(goodputBytesPerSecond)}): ` +
      remains;
}

function dirtyOf({ dirtyMemoryBytesPerSecond, dirtyDiskBytesPerSecond }: Estimate): number {
  return dirtyMemoryBytesPerSecond + dirtyDiskBytesPerSecond;
}

function numbersOf(
  { estimate, outlook }: TendencyInput,
  fitsInMs: number | null,
): Convergence["numbers"] {
  return {
    dirtyBytesPerSecond: estimate.flow === null ? null : whole(dirtyOf(estimate)),
    goodputBytesPerSecond: whole(outlook.goodputBytesPerSecond),
    waitingBytes: whole(estimate.backlog.waitingBytes),
    fitBytes: whole(outlook.fitBytes),
    fitsInMs: whole(fitsInMs),
    budgetMs: whole(outlook.budgetMs),
  };
}
