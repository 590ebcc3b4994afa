import type { Feedback, Mark } from "./path_datagram.ts";

/** What one side has seen of the other's marks; pure, time is an argument. */
export class PathReceiver {
  #echoedSentMs = NaN;
  #echoedAtMs = NaN;
  #markCount = 0;
  #markBytes = 0;
  #lastMark = 0;
  #lastMarkAtMs = NaN;
  #transitMs = NaN;

  /** True when marks arrived that no feedback has told of. */
  get hasNews(): boolean {
    return !Number.isNaN(this.#transitMs);
  }

  mark(mark: Mark, nowMs: number): void {
    this.#markCount++;
    this.#markBytes += mark.chunkBytes;
    if (this.#markCount === 1 || mark.number > this.#lastMark) {
      this.#lastMark = mark.number;
      this.ping(mark.sentMs, nowMs);
    }
    this.#lastMarkAtMs = nowMs;
    const transitMs = nowMs - mark.sentMs;
    if (!(transitMs >= this.#transitMs)) this.#transitMs = transitMs;
  }

  /** The sender's newest time stamp, to be echoed. */
  ping(sentMs: number, nowMs: number): void {
    if (sentMs < this.#echoedSentMs) return;
    this.#echoedSentMs = sentMs;
    this.#echoedAtMs = nowMs;
  }

  /** Everything known; starts the next interval of `transitMs`. */
  feedback(
    nowMs: number,
    consumedBytes: number,
    laneBytes: readonly number[],
  ): Omit<Feedback, "kind"> {
    const feedback = {
      nowMs,
      echoedSentMs: this.#echoedSentMs,
      heldMs: nowMs - this.#echoedAtMs,
      markCount: this.#markCount,
      markBytes: this.#markBytes,
      lastMark: this.#lastMark,
      lastMarkAtMs: this.#lastMarkAtMs,
      transitMs: this.#transitMs,
      consumedBytes,
      laneBytes,
    };
    this.#transitMs = NaN;
    return feedback;
  }
}
