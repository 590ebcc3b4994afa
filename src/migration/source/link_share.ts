import type { Bottleneck } from "../../codec/level_policy.ts";
import type { Clock } from "../../core/clock.ts";

/** Older times count half after this much. */
const WINDOW_MS = 1000;
/** The link is the limit when it takes at least this part of the time. */
const LINK_SHARE_MIN = 0.25;

/** Measures what the sender spends its time on while there is something to send. */
export class LinkShare {
  #workingMs = 0;
  #waitingMs = 0;
  #sinceMs = 0;

  constructor(private readonly clock: Pick<Clock, "nowMs">) {}

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
      if (this.#workingMs + this.#waitingMs > WINDOW_MS) {
        this.#workingMs /= 2;
        this.#waitingMs /= 2;
      }
    }
  }

  get bottleneck(): Bottleneck {
    const share = this.#waitingMs / Math.max(1, this.#waitingMs + this.#workingMs);
    const known = this.#waitingMs + this.#workingMs > WINDOW_MS / 4;
    return !known || share >= LINK_SHARE_MIN ? "link" : "cpu";
  }
}
