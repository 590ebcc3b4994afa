import type { Action } from "../action.ts";
import {
  isBeyondMachine,
  LOAD_RATIO,
  numbersOf,
  PASSED,
  type RemedyInput,
  type Turn,
} from "./remedy.ts";

/** Steps of the share: the least, later ones at least this much, and the last. */
const FIRST_SHARE_MIN = 0.2;
const STEP_MIN = 0.1;
const STEP_MAX = 0.3;
const SHARE_MAX = 0.99;

/**
 * Takes time away from the machine's processors until it writes no more than the link carries: each
 * step from what it writes now, as if that fell in proportion. Pages that are written again and again
 * fall later than in proportion, so steps follow until it is enough. Within a run it only rises
 * (`auto-converge` of QEMU has no way back).
 */
export class ThrottleCpu {
  #share = 0;

  /** Share of the machine's processor time that is taken away. */
  get share(): number {
    return this.#share;
  }

  turn(input: RemedyInput): Turn {
    if (!input.measured.canThrottleCpu || this.#share >= SHARE_MAX) return PASSED;
    if (isBeyondMachine(input)) return PASSED;
    const left = shareLeft(input);
    const before = this.#share;
    const wanted = 1 - (1 - before) * left;
    const least = before === 0 ? FIRST_SHARE_MIN : before + STEP_MIN;
    const most = before === 0 ? 1 : before + STEP_MAX;
    const share = Math.min(SHARE_MAX, Math.max(least, Math.min(most, wanted)));
    this.#share = Math.round(share * 100) / 100;
    const percent = Math.round(this.#share * 100);
    return {
      kind: "acting",
      action: {
        kind: "throttleCpu",
        share: this.#share,
        reason: `${percent} % of the machine's processor time is taken away: ` +
          input.convergence.reason,
        numbers: { ...numbersOf(input), share: this.#share, beforeShare: before },
      },
    };
  }

  /** The stream that it belonged to has ended. */
  forget(): void {
    this.#share = 0;
  }

  /** Another stream has begun after an undone switch: it begins at full speed. */
  again(): Action | null {
    if (this.#share === 0) return null;
    const reason = "the copy goes on after an undone switch, with the processor slowed as before";
    return { kind: "throttleCpu", share: this.#share, reason, numbers: { share: this.#share } };
  }
}

/** What of the machine's writes may stay: what the link carries, or what leaves no more than fits. */
function shareLeft(input: RemedyInput): number {
  const { dirtyMemoryBytesPerSecond, dirtyDiskBytesPerSecond, goodputBytesPerSecond } = input;
  const dirty = dirtyMemoryBytesPerSecond + dirtyDiskBytesPerSecond;
  const { waitingBytes, fitBytes } = input.convergence.numbers;
  const byLink = LOAD_RATIO * goodputBytesPerSecond / Math.max(1, dirty);
  if (byLink < 1) return byLink;
  return Math.min(1, Math.max(0, (fitBytes ?? 0) / Math.max(1, waitingBytes ?? 1)));
}
