import type { Measurement } from "./measurement.ts";

/** Samples are at least this far apart, and kept for this long; ms of judged time. */
const SAMPLE_MS = 250;
const KEPT_MS = 60_000;
/** The rate of what was applied is taken over this long. */
const APPLIED_WINDOW_MS = 1000;

/** One look at the tendency takes this long, or some round trips where that is longer; ms. */
const LOOK_MS = 3_000;
const LOOK_ROUND_TRIPS = 4;
/**
 * The longest span looked at: what remains goes up and down around where it stays. A move that has
 * taken long is looked at for longer, up to all that is kept.
 */
const LOOK_MS_MAX = 12_000;
const LOOK_RATIO = 0.1;

/** What went on between two moments at which the machine's own account was fresh. */
export interface Flow {
  readonly spanMs: number;
  /** Wire bytes per second that the machine adds to what remains. */
  readonly dirtyBytesPerSecond: number;
  /** Wire bytes per second that the peer applied. */
  readonly carriedBytesPerSecond: number;
  /** Least wire bytes that the destination lacked, in each half of the span. */
  readonly earlierLowBytes: number;
  readonly laterLowBytes: number;
  /** True where something waited for the link all the time: it carried what it can. */
  readonly isSaturated: boolean;
}

/**
 * The span of flow that a look is made over, ms.
 *
 * @param judgedMs since the move began
 */
export function lookSpan(
  roundTripMs: number | null,
  judgedMs: number,
): { leastMs: number; mostMs: number } {
  const leastMs = Math.max(LOOK_MS, LOOK_ROUND_TRIPS * (roundTripMs ?? 0));
  const mostMs = Math.min(KEPT_MS, Math.max(LOOK_MS_MAX, judgedMs * LOOK_RATIO));
  return { leastMs, mostMs: Math.max(leastMs, mostMs) };
}

interface Sample {
  readonly atMs: number;
  readonly remainingBytes: number;
  readonly appliedBytes: number;
  /** Least that waited since the sample before. */
  readonly leastWaitingBytes: number;
}

/**
 * What the machine adds and the link takes away, from what remains and what was applied:
 * `d(remaining)/dt + applied rate`. Where memory is copied only moments right after the start of a
 * pass count, because between them the machine's account lacks what it has written since.
 */
export class Flows {
  readonly #samples: Sample[] = [];
  readonly #applied: { readonly atMs: number; readonly bytes: number }[] = [];
  #pass: number | null = null;
  #passBeganMs = 0;
  #leastWaitingBytes = Infinity;

  /** Time since the machine began its present pass over memory, ms. */
  passAgeMs(judgedMs: number): number {
    return this.#pass === null ? 0 : judgedMs - this.#passBeganMs;
  }

  /** Wire bytes per second that the peer applied over the last second. */
  get appliedBytesPerSecond(): number {
    const first = this.#applied.at(0);
    const last = this.#applied.at(-1);
    if (!first || !last || last.atMs <= first.atMs) return 0;
    return (last.bytes - first.bytes) * 1000 / (last.atMs - first.atMs);
  }

  /** Notes progress and passes; to be called before what remains is summed up. */
  advance(judgedMs: number, { memory, appliedWireBytes }: Measurement): void {
    this.#applied.push({ atMs: judgedMs, bytes: appliedWireBytes });
    while (this.#applied.length > 2 && this.#applied[1].atMs <= judgedMs - APPLIED_WINDOW_MS) {
      this.#applied.shift();
    }
    const pass = memory?.pass ?? null;
    if (pass !== this.#pass) {
      // Memory came or went, or its first pass ended: what was seen before is of another kind.
      if (pass === null || this.#pass === null || this.#pass <= 1) this.restart();
      this.#pass = pass;
      this.#passBeganMs = judgedMs;
    }
  }

  /**
   * @param remainingBytes wire bytes that the destination lacks, those on the way included
   * @param waitingBytes of them, those that wait for the link
   */
  observe(
    judgedMs: number,
    measured: Measurement,
    remainingBytes: number,
    waitingBytes: number,
  ): void {
    this.#leastWaitingBytes = Math.min(this.#leastWaitingBytes, waitingBytes);
    if (measured.memory !== null && (this.#pass! <= 1 || this.#passBeganMs !== judgedMs)) return;
    const last = this.#samples.at(-1);
    if (last && judgedMs - last.atMs < SAMPLE_MS) return;
    this.#samples.push({
      atMs: judgedMs,
      remainingBytes,
      appliedBytes: measured.appliedWireBytes,
      leastWaitingBytes: this.#leastWaitingBytes,
    });
    this.#leastWaitingBytes = Infinity;
    while (this.#samples[0].atMs < judgedMs - KEPT_MS) this.#samples.shift();
  }

  /** Forgets what was seen: something has changed that it would hide. */
  restart(): void {
    this.#samples.length = 0;
    this.#leastWaitingBytes = Infinity;
  }

  /** After a gap, or with another stream: nothing from before counts. */
  forget(): void {
    this.restart();
    this.#applied.length = 0;
    this.#pass = null;
  }

  /**
   * The flow over the longest span up to `mostMs`, or over the last two samples where these are
   * further apart; null where less than `leastMs` was seen.
   */
  over(leastMs: number, mostMs: number): Flow | null {
    const samples = this.#samples;
    const last = samples.at(-1);
    if (!last) return null;
    let at = samples.length - 2;
    while (at > 0 && last.atMs - samples[at - 1].atMs <= mostMs) at--;
    const first = samples[at];
    if (first === undefined || last.atMs - first.atMs < leastMs) return null;
    const spanMs = last.atMs - first.atMs;
    const appliedBytes = last.appliedBytes - first.appliedBytes;
    const addedBytes = last.remainingBytes - first.remainingBytes + appliedBytes;
    const middleMs = (first.atMs + last.atMs) / 2;
    let earlierLowBytes = Infinity;
    let laterLowBytes = last.remainingBytes;
    let isSaturated = true;
    for (let index = at; index < samples.length; index++) {
      const { atMs, remainingBytes, leastWaitingBytes } = samples[index];
      if (atMs <= middleMs) earlierLowBytes = Math.min(earlierLowBytes, remainingBytes);
      else laterLowBytes = Math.min(laterLowBytes, remainingBytes);
      if (index > at && leastWaitingBytes <= 0) isSaturated = false;
    }
    return {
      spanMs,
      dirtyBytesPerSecond: Math.max(0, addedBytes) * 1000 / spanMs,
      carriedBytesPerSecond: appliedBytes * 1000 / spanMs,
      earlierLowBytes,
      laterLowBytes,
      isSaturated,
    };
  }
}
