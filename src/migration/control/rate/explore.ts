/** A queue is one when it is there at so many looks, one after the other. */
const FIRST_LOOKS = 3;
/** So many that go by themselves are no traffic that fills the path. */
const GONE_MAX = 3;
/**
 * The path's limit is met when for so long no more has arrived than before: at first longer, because
 * an idle link is slow to begin beside a full queue.
 */
const NO_MORE_FIRST_MS = 3_000;
const NO_MORE_MS = 1_200;
const BEGUN_RATIO = 4;
const MORE_RATIO = 1.1;
/** The cap goes ahead of what arrives by this, so that it is not the limit. */
const AHEAD_RATIO = 2.5;
const MS_MAX = 15_000;

/**
 * The first queue that a start meets may be that of traffic which fills the path already. It says
 * nothing of us then, and a sender that steps back for it at once never learns what the path carries,
 * of which it should keep a share. So the start goes on, once and for some seconds, as long as more
 * and more arrives. Where the queue is ours nothing more does, and the pacer keeps it short.
 */
export class Exploration {
  #looks = 0;
  #gone = 0;
  #state: "unknown" | "exploring" | "over" = "unknown";
  #sinceMs = 0;
  #firstBytesPerSecond = 0;
  #best = { bytesPerSecond: 0, atMs: 0 };

  /**
   * To be asked at each look of a start: `hold` until it is known whether a queue is one, `goesOn`
   * while the start is to go on in spite of it, `ended` once where it has done so.
   */
  look(
    judgedMs: number,
    isCongested: boolean,
    appliedBytesPerSecond: number,
  ): "no" | "hold" | "goesOn" | "ended" {
    if (this.#state === "unknown") {
      if (!isCongested) {
        // Gone by itself: a late packet, or what one step too much had made.
        if (this.#looks > 0 && ++this.#gone > GONE_MAX) this.#state = "over";
        this.#looks = 0;
        return "no";
      }
      if (++this.#looks < FIRST_LOOKS) return "hold";
      this.#state = "exploring";
      this.#sinceMs = judgedMs;
      this.#firstBytesPerSecond = appliedBytesPerSecond;
      this.#best = { bytesPerSecond: appliedBytesPerSecond, atMs: judgedMs };
    }
    if (this.#state === "over") return "no";
    if (appliedBytesPerSecond > MORE_RATIO * this.#best.bytesPerSecond) {
      this.#best = { bytesPerSecond: appliedBytesPerSecond, atMs: judgedMs };
    }
    const hasBegun = this.#best.bytesPerSecond > BEGUN_RATIO * this.#firstBytesPerSecond;
    const isMet = judgedMs - this.#best.atMs > (hasBegun ? NO_MORE_MS : NO_MORE_FIRST_MS);
    if (!isMet && judgedMs - this.#sinceMs <= MS_MAX) return "goesOn";
    this.#state = "over";
    return "ended";
  }

  /** Most that arrived. */
  get bestBytesPerSecond(): number {
    return this.#best.bytesPerSecond;
  }

  /** What the cap may be at the most meanwhile, where it is not above that already. */
  get mostBytesPerSecond(): number {
    return AHEAD_RATIO * this.#best.bytesPerSecond;
  }
}
