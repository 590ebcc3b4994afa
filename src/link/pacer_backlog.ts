/** What is sent should have been read after so many round trips and so long. */
const DUE_ROUND_TRIPS = 3;
const DUE_MS = 150;
/** The path is behind when more than this share of what is due has not been read. */
const BEHIND_RATIO = 0.25;
const SAMPLE_MS = 10;
/** Where no report came for so long the path was dark or a program stood still: begin again. */
const SILENCE_MS = 600;
/** What is read is averaged over at least this. */
const RATE_MS_MIN = 500;

/**
 * Compares what went into the streams with what the peer has read from them; pure. The slowest but
 * surest sign: marks may get through where what follows them does not, and the transport keeps for
 * itself what its own congestion control holds back.
 */
export class ReadBacklog {
  #samples: { atMs: number; sentBytes: number; readBytes: number }[] = [];

  /** Rate at which the peer reads, on the mean of some time; null while unknown. */
  get readBytesPerSecond(): number | null {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    const ms = last ? last.atMs - first.atMs : 0;
    return last && ms >= RATE_MS_MIN ? (last.readBytes - first.readBytes) * 1000 / ms : null;
  }

  /**
   * @returns the rate at which the peer reads, when that is well below what was sent; else null
   */
  take(
    sentBytes: number,
    readBytes: number,
    nowMs: number,
    minRoundTripMs: number,
  ): number | null {
    const last = this.#samples.at(-1);
    if (last && nowMs < last.atMs + SAMPLE_MS) return null;
    if (last && nowMs > last.atMs + SILENCE_MS) this.#samples = [];
    this.#samples.push({ atMs: nowMs, sentBytes, readBytes });
    const dueMs = DUE_ROUND_TRIPS * minRoundTripMs + DUE_MS;
    const keptMs = Math.max(dueMs, RATE_MS_MIN);
    let start = 0;
    while (this.#samples[start + 1]?.atMs <= nowMs - keptMs) start++;
    this.#samples.splice(0, start);
    const due = this.#samples.findLast(({ atMs }) => atMs <= nowMs - dueMs) ?? this.#samples[0];
    const ms = nowMs - due.atMs;
    if (ms < dueMs) return null;
    const isBehind = due.sentBytes - readBytes > BEHIND_RATIO * (sentBytes - due.sentBytes);
    return isBehind ? (readBytes - due.readBytes) * 1000 / ms : null;
  }
}
