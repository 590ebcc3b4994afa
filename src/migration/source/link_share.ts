import type { Bottleneck } from "../../codec/level_policy.ts";
import type { Clock } from "../../core/clock.ts";

/** Older times count half after this much. */
const WINDOW_MS = 1000;
/** Nothing is decided from less. */
const KNOWN_MS = 250;
/** The link is the limit when it takes at least this part of the time. */
const LINK_SHARE_MIN = 0.25;
/** What a lower level of zstd is faster by, at least. */
const FAST_GAIN = 1.5;

/**
 * What is done about the CPU being the limit, one after the other: batches are packed beside each
 * other, and only if that is not enough they are packed less.
 */
type Effort = "single" | "parallel" | "parallelFast" | "fast";

/**
 * Measures what the sender spends its time on while there is something to send, and chooses how much
 * is done at once. Time in which the link makes it wait is the link's; all other time, also that
 * spent waiting for a batch to be packed elsewhere, is work.
 */
export class LinkShare {
  readonly #efforts: readonly Effort[];
  #at = 0;
  #workingMs = 0;
  #waitingMs = 0;
  #sinceMs = 0;

  /** @param ahead batches that can be under way at once */
  constructor(private readonly clock: Pick<Clock, "nowMs">, private readonly ahead = 1) {
    this.#efforts = ahead > 1 ? ["single", "parallel", "parallelFast"] : ["single", "fast"];
  }

  /** There is something to send from now on. */
  begin(): void {
    this.#sinceMs = this.clock.nowMs();
  }

  /** A wait for the link; the time before it was work. */
  async waiting<T>(sent: Promise<T>): Promise<T> {
    const beganMs = this.clock.nowMs();
    this.#workingMs += beganMs - this.#sinceMs;
    try {
      return await sent;
    } finally {
      this.#sinceMs = this.clock.nowMs();
      this.#waitingMs += this.#sinceMs - beganMs;
      this.#judge();
    }
  }

  get bottleneck(): Bottleneck {
    const effort = this.#efforts[this.#at];
    return effort === "fast" || effort === "parallelFast" ? "cpu" : "link";
  }

  /** Batches to have under way: more than one would only be parked while the link is the limit. */
  get batchesAhead(): number {
    return this.#efforts[this.#at] === "single" ? 1 : this.ahead;
  }

  #judge(): void {
    const knownMs = this.#workingMs + this.#waitingMs;
    if (knownMs < KNOWN_MS) return;
    const share = this.#waitingMs / knownMs;
    if (share < LINK_SHARE_MIN && this.#at < this.#efforts.length - 1) this.#change(1);
    else if (share >= this.#shareToEase() && this.#at > 0) this.#change(-1);
    else if (knownMs > WINDOW_MS) {
      this.#workingMs /= 2;
      this.#waitingMs /= 2;
    }
  }

  /** With less, the CPU would be the limit again at once. */
  #shareToEase(): number {
    const gain = this.#efforts[this.#at] === "parallel" ? this.ahead : FAST_GAIN;
    return 1 - (1 - LINK_SHARE_MIN) / gain;
  }

  /** What was measured before says nothing of what comes. */
  #change(step: 1 | -1): void {
    this.#at += step;
    this.#workingMs = this.#waitingMs = 0;
  }
}
