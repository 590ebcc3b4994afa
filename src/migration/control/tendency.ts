import type { Convergence } from "./action.ts";
import type { Estimate } from "./estimate.ts";
import type { Flow } from "./flow.ts";
import type { Measurement } from "./measurement.ts";
import type { Outlook } from "./outlook.ts";
import { shownBytes, shownRate, shownTime, whole } from "./words.ts";

/** A copy that needs longer than this to fit, and longer than it has taken, does not converge; ms. */
const HORIZON_MS = 120_000;
/** With the machine slowed for it, patience is longer than another step would be right. */
const SLOWED_HORIZON_MS = 600_000;
/** The lows of what remains are the same within this. */
const NOISE_RATIO = 0.03;
/** Before a whole look there is a verdict only where the machine writes this much too fast. */
const PLAIN_RATIO = 1.2;
const WHOLE_LOOK_MS = 9_000;
/** From this share of the link on, the machine writes as much as it carries. */
const AS_MUCH_RATIO = 0.8;
/** A machine that writes less than this share of the link is not what keeps much from shrinking. */
const LITTLE_RATIO = 0.5;
const MUCH_MS = 2_000;
/** A tendency counts when it has held this much longer than its opposite, ms. */
const CONFIRM_MS = 3_000;

/** What the verdict is made from. */
export interface TendencyInput {
  /** Judged time since the move began. */
  readonly judgedMs: number;
  readonly measured: Measurement;
  /** The link carries far less than a moment ago: it may come back, so that is no finding yet. */
  readonly isSlowed: boolean;
  /** The machine is slowed so that the copy converges. */
  readonly isMachineSlowed: boolean;
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
  /** From good (negative) to bad, ms of judged time. */
  #score = 0;
  #isBad = false;
  #verdictSinceMs: number | null = null;
  #lookedAtMs: number | null = null;

  /** How long the verdict has been `notConverging`, ms of judged time. */
  badForMs(judgedMs: number): number {
    return this.#isBad && this.#verdictSinceMs !== null ? judgedMs - this.#verdictSinceMs : 0;
  }

  /** Something was done about it: only what comes after counts. */
  restart(): void {
    this.#score = 0;
    this.#isBad = false;
    this.#verdictSinceMs = null;
    this.#lookedAtMs = null;
  }

  judge(input: TendencyInput): Convergence {
    const { judgedMs, estimate: { backlog: { waitingBytes } }, outlook: { fitBytes } } = input;
    const flow = input.isSlowed ? null : input.estimate.flow;
    if (flow === null) {
      return { verdict: "unknown", reason: unknownBecause(input), numbers: numbersOf(input, null) };
    }
    const fitsInMs = timeToFit(flow, waitingBytes, fitBytes);
    const numbers = numbersOf(input, fitsInMs);
    // What fits can be switched: nothing has to be confirmed.
    if (fitsInMs === 0) this.restart();
    const horizonMs = Math.max(input.isMachineSlowed ? SLOWED_HORIZON_MS : HORIZON_MS, judgedMs);
    const isGood = fitsInMs <= horizonMs || isOnlySlow(input);
    const isPlain = dirtyOf(input.estimate) > PLAIN_RATIO * input.outlook.goodputBytesPerSecond ||
      fitBytes < 0;
    if (isGood || isPlain || flow.spanMs >= WHOLE_LOOK_MS) this.#note(judgedMs, isGood);
    if (this.#isBad) {
      const reason = fitBytes < 0
        ? `the budget of ${shownTime(input.outlook.budgetMs)} is shorter than the hand-over alone`
        : reasonOf(input);
      return { verdict: "notConverging", reason, numbers };
    }
    if (!isGood) {
      const reason = "what remains has stopped shrinking, watching whether it stays so";
      return { verdict: "unknown", reason, numbers };
    }
    const remains = `what remains (${shownBytes(waitingBytes)})`;
    const reason = fitsInMs === 0
      ? "what remains fits the budget"
      : fitsInMs <= horizonMs
      ? `${remains} shrinks, and fits the budget in about ${shownTime(fitsInMs)}`
      : `${remains} takes its time at ${shownRate(input.outlook.goodputBytesPerSecond)}, and the ` +
        "machine writes far less than that";
    return { verdict: "converging", reason, numbers };
  }

  #note(judgedMs: number, isGood: boolean): void {
    const passedMs = judgedMs - (this.#lookedAtMs ?? judgedMs);
    this.#lookedAtMs = judgedMs;
    const score = this.#score + (isGood ? -passedMs : passedMs);
    this.#score = Math.max(-CONFIRM_MS, Math.min(CONFIRM_MS, score));
    if (Math.abs(this.#score) < CONFIRM_MS || this.#isBad === this.#score > 0) return;
    this.#isBad = this.#score > 0;
    this.#verdictSinceMs = judgedMs;
  }
}

/** Time until what waits fits, by the lows of what remains; Infinity: never. */
function timeToFit(flow: Flow, waitingBytes: number, fitBytes: number): number {
  const { earlierLowBytes, laterLowBytes, spanMs } = flow;
  const tooMuchBytes = waitingBytes - fitBytes;
  if (tooMuchBytes <= 0) return 0;
  const shrunkBytes = earlierLowBytes - laterLowBytes;
  if (fitBytes < 0 || shrunkBytes <= NOISE_RATIO * earlierLowBytes) return Infinity;
  return tooMuchBytes / shrunkBytes * (spanMs / 2);
}

/** Much is left of a copy, and little of it is the machine's doing: the link is slow, no more. */
function isOnlySlow({ estimate, outlook }: TendencyInput): boolean {
  const { goodputBytesPerSecond, fitBytes } = outlook;
  return fitBytes > 0 && dirtyOf(estimate) < LITTLE_RATIO * goodputBytesPerSecond &&
    estimate.backlog.waitingBytes > goodputBytesPerSecond * MUCH_MS / 1000;
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
  const writes = `the machine writes ${shownRate(dirtyBytesPerSecond)} that have to cross`;
  const link = shownRate(goodputBytesPerSecond);
  const remains =
    `what remains (${shownBytes(estimate.backlog.waitingBytes)}) does not shrink to ` +
    `the ${shownBytes(fitBytes)} that fit the budget of ${shownTime(budgetMs)}`;
  if (dirtyBytesPerSecond > goodputBytesPerSecond) {
    return `${writes}, the link carries ${link}: ${remains}`;
  }
  return dirtyBytesPerSecond > AS_MUCH_RATIO * goodputBytesPerSecond
    ? `the machine writes as much as the link carries (${link}): ${remains}`
    : `${writes}, less than the ${link} of the link, and yet as much again from one pass to the ` +
      `next: ${remains}`;
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
