import { leadWithMargin } from "./lead.ts";
import type { Measurement } from "./measurement.ts";
import type { SwitchWindow, Wishes } from "./wishes.ts";
import { shownMoment, shownTime } from "./words.ts";

/** What the operator's word, hold and window say about now. */
export interface Moment {
  /** Memory should be copied. */
  readonly wantsMemory: boolean;
  /** The switch may happen as far as the operator is concerned. */
  readonly hasCome: boolean;
  /** It happens whatever the forecast says. */
  readonly isForced: boolean;
  /** Why memory should run, or should not. */
  readonly reason: string;
  /** What the move waits for, where the moment has not come. */
  readonly waitsFor: string | null;
}

/** What a moment is found from, beside the wishes. */
export interface MomentInput {
  readonly judgedMs: number;
  readonly measured: Measurement;
  /** Memory is in step, or as near to it as it gets. */
  readonly isInStep: boolean;
  /** From a start of memory until the machine could switch. */
  readonly leadMs: number;
}

/**
 * Hold, window and word. A hold keeps memory in step for `holdMemoryMs` and then only the disks, so
 * that hotplug and snapshots are free; memory starts again on the word, or when a window is as near
 * as the lead time. A window that closes unused leaves the move held. A machine that pauses by
 * itself gets its memory copied only once the moment has come.
 */
export class Moments {
  /** Since when a hold has kept memory in step; null while it does not. */
  #heldSinceMs: number | null = null;
  /** The hold has had its time with memory; ends with the hold. */
  #isHoldSpent = false;
  #wordsHeard = 0;
  #isForced = false;
  /** The window that memory has been started for, as it was wished. */
  #startedFor: string | null = null;

  of(wishes: Wishes, input: MomentInput): Moment {
    const { measured } = input;
    this.#hearWord(wishes, measured);
    if (!wishes.hold) this.#isHoldSpent = false;
    if (wishes.switchNow) return this.#come("the word to switch was given");
    const { window } = wishes;
    if (window !== null) return this.#byWindow(window, input);
    if (wishes.hold) return this.#held(wishes, input);
    return this.#come("the disks are in step");
  }

  #hearWord({ switchNow, switchWords = 1 }: Wishes, { stage }: Measurement): void {
    const words = switchNow ? switchWords : 0;
    // Before memory runs the word starts it; the pause of a whole copy is nobody's wish.
    if (words > this.#wordsHeard) this.#isForced = stage === "memory";
    if (!switchNow) this.#isForced = false;
    this.#wordsHeard = words;
  }

  #come(reason: string): Moment {
    this.#heldSinceMs = null;
    const isForced = this.#isForced;
    return { wantsMemory: true, hasCome: true, isForced, reason, waitsFor: null };
  }

  #byWindow(window: SwitchWindow, input: MomentInput): Moment {
    const { wallMs, canHold } = input.measured;
    const fromMs = Date.parse(window.from);
    const untilMs = window.until === null ? Infinity : Date.parse(window.until);
    const at = (ms: number) => shownMoment(ms, wallMs);
    const name = `${window.from}/${window.until}`;
    if (wallMs >= untilMs) {
      const reason = `the window closed at ${at(untilMs)} unused`;
      return this.#wait(false, reason, `a word or another window: ${reason}`);
    }
    if (wallMs >= fromMs) return this.#come(`the window is open since ${at(fromMs)}`);
    const leadMs = leadWithMargin(input.leadMs);
    // The lead time changes with the path; memory that has started for a window stays for it.
    if (canHold && fromMs - wallMs <= leadMs) this.#startedFor = name;
    const isNear = canHold && this.#startedFor === name;
    const opens = `the window opens at ${at(fromMs)}`;
    if (isNear) {
      const reason = `${opens}, and memory needs about ${shownTime(input.leadMs)}`;
      return this.#wait(true, reason, `the window, which opens at ${at(fromMs)}`);
    }
    const starts = canHold ? at(Math.max(wallMs, fromMs - leadMs)) : at(fromMs);
    return this.#wait(false, opens, `memory to start at about ${starts}: ${opens}`);
  }

  #held(wishes: Wishes, { judgedMs, measured, isInStep }: MomentInput): Moment {
    if (!measured.canHold) {
      const reason = "this machine pauses by itself once its memory fits";
      return this.#wait(false, reason, "a word; memory starts with it");
    }
    if (isInStep) this.#heldSinceMs ??= judgedMs;
    const heldMs = this.#heldSinceMs === null ? 0 : judgedMs - this.#heldSinceMs;
    if (heldMs >= wishes.holdMemoryMs) this.#isHoldSpent = true;
    if (!this.#isHoldSpent) {
      return this.#wait(true, "a hold keeps memory in step for a while", "a word");
    }
    this.#heldSinceMs = null;
    const reason = wishes.holdMemoryMs === 0
      ? "a hold without memory is wished"
      : `memory was held in step for ${shownTime(wishes.holdMemoryMs)}`;
    return this.#wait(false, reason, "a word; memory starts with it");
  }

  #wait(wantsMemory: boolean, reason: string, waitsFor: string): Moment {
    if (!wantsMemory) this.#heldSinceMs = null;
    return { wantsMemory, hasCome: false, isForced: false, reason, waitsFor };
  }
}
