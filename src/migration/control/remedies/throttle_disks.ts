import type { Action } from "../action.ts";
import { shownRate } from "../words.ts";
import {
  isBeyondMachine,
  LOAD_RATIO,
  numbersOf,
  PASSED,
  type RemedyInput,
  type Turn,
} from "./remedy.ts";

/** Disks below this share of the link are not what does not fit. */
const PART_RATIO_MIN = 0.1;
/** Slower than this share of the link no disk is made: the machine would stand still. */
const FLOOR_RATIO = 0.1;
/** A cap that did not help enough is tightened by this. */
const TIGHTER = 0.6;
/** A machine that uses less than this share of its cap, for this long, does not need one; ms. */
const USED_RATIO = 0.5;
const CALM_MS = 10_000;
/** What is dirty hides further writes to the same places: calm is seen below this much of the cap. */
const CALM_BACKLOG_MS = 2_000;
/** A link that carries more by this factor is passed on. */
const WIDER = 1.5;

/**
 * Slows the machine's own disk writes to what the link carries beside its memory (disk I/O
 * throttling as in Bradford et al., VEE 2007). Taken only where disk writes are a part of what does
 * not fit, and taken away once the machine writes less by itself.
 */
export class ThrottleDisks {
  #rawBytesPerSecond: number | null = null;
  #goodputBytesPerSecond = 0;
  #calmSinceMs: number | null = null;

  /** Raw bytes per second of all disks; null is none. */
  get bytesPerSecond(): number | null {
    return this.#rawBytesPerSecond;
  }

  turn(input: RemedyInput): Turn {
    const { measured, dirtyDiskBytesPerSecond: disk, goodputBytesPerSecond: goodput } = input;
    if (!measured.canThrottleDisks || measured.disks.length === 0) return PASSED;
    if (isBeyondMachine(input)) return PASSED;
    const before = this.#rawBytesPerSecond;
    if (before === null && disk < PART_RATIO_MIN * goodput) return PASSED;
    const floor = rawOf(FLOOR_RATIO * goodput, input);
    const wanted = before === null ? wantedOf(input) : Math.min(wantedOf(input), before * TIGHTER);
    const cap = Math.max(floor, wanted);
    // At its floor it has done what it can.
    if (before !== null && cap >= before * 0.97) return PASSED;
    const reason = before === null
      ? `disk writes are slowed to ${shownRate(cap)}: ${input.convergence.reason}`
      : `disk writes at ${shownRate(before)} are still too many, slowed to ${shownRate(cap)}`;
    return { kind: "acting", action: this.#set(cap, reason, input) };
  }

  /** Beside the turns: takes the cap away, or widens it, where it is not needed any more. */
  ease(input: RemedyInput): Action | null {
    const before = this.#rawBytesPerSecond;
    if (before === null || input.convergence.verdict === "notConverging") {
      this.#calmSinceMs = null;
      return null;
    }
    const { judgedMs, measured: { disks }, goodputBytesPerSecond } = input;
    const dirtied = disks.reduce((sum, disk) => sum + (disk.dirtyBytesPerSecond ?? 0), 0);
    const dirty = disks.reduce((sum, disk) => sum + disk.dirtyBytes + disk.remainingBytes, 0);
    const isCalm = dirtied < USED_RATIO * before && dirty < before * CALM_BACKLOG_MS / 1000;
    this.#calmSinceMs = isCalm ? this.#calmSinceMs ?? judgedMs : null;
    if (this.#calmSinceMs !== null && judgedMs - this.#calmSinceMs >= CALM_MS) {
      return this.#set(null, "the machine writes little to its disks by itself", input);
    }
    const factor = goodputBytesPerSecond / this.#goodputBytesPerSecond;
    if (!(factor >= WIDER)) return null;
    const cap = before * factor;
    return this.#set(cap, `the link carries more: ${shownRate(cap)} for disk writes`, input);
  }

  /** The remedy has no ground any more. */
  lift(reason: string): Action | null {
    if (this.#rawBytesPerSecond === null) return null;
    const numbers = { bytesPerSecond: null, beforeBytesPerSecond: this.#rawBytesPerSecond };
    this.#rawBytesPerSecond = null;
    return { kind: "throttleDisks", bytesPerSecond: null, reason, numbers };
  }

  /** A switch that is undone has taken the cap away; it is asked for again. */
  again(): Action | null {
    const bytesPerSecond = this.#rawBytesPerSecond;
    if (bytesPerSecond === null) return null;
    const reason = "the copy goes on after an undone switch, with disk writes slowed as before";
    return { kind: "throttleDisks", bytesPerSecond, reason, numbers: { bytesPerSecond } };
  }

  #set(cap: number | null, reason: string, input: RemedyInput): Action {
    const bytesPerSecond = cap === null ? null : Math.max(1, Math.round(cap));
    const numbers = {
      ...numbersOf(input),
      bytesPerSecond,
      beforeBytesPerSecond: this.#rawBytesPerSecond,
    };
    this.#rawBytesPerSecond = bytesPerSecond;
    this.#goodputBytesPerSecond = input.goodputBytesPerSecond;
    this.#calmSinceMs = null;
    return { kind: "throttleDisks", bytesPerSecond, reason, numbers };
  }
}

/** What the link carries beside memory, raw. */
function wantedOf(input: RemedyInput): number {
  const { goodputBytesPerSecond, dirtyMemoryBytesPerSecond } = input;
  const left = LOAD_RATIO * goodputBytesPerSecond - dirtyMemoryBytesPerSecond;
  return rawOf(Math.max(FLOOR_RATIO * goodputBytesPerSecond, left), input);
}

function rawOf(wireBytesPerSecond: number, { measured }: RemedyInput): number {
  return wireBytesPerSecond / Math.max(0.01, measured.diskWireRatio);
}
