import { GOODPUT_BYTES_PER_SECOND_ASSUMED } from "../forecast.ts";

/** The most that was seen fades in this time, ms. */
const FADE_MS = 300_000;

/** What a path carries, as far as it is known. */
export interface Capacity {
  readonly bytesPerSecond: number;
  /** False while nothing has filled the path: it may carry more than was seen. */
  readonly isMeasured: boolean;
}

/**
 * What the path carries, for shares of it: the most of the last minutes. The present estimate of the
 * bottleneck is no measure, because beside other traffic it falls with our own share; and a link that
 * is never filled has none: then what was applied is what the path carries at least.
 */
export class CapacitySeen {
  #bytesPerSecond = 0;
  #atMs = 0;

  observe(
    judgedMs: number,
    bottleneckBytesPerSecond: number | null,
    appliedBytesPerSecond: number,
  ): Capacity {
    const passedMs = Math.max(0, judgedMs - this.#atMs);
    this.#atMs = judgedMs;
    const seen = Math.max(bottleneckBytesPerSecond ?? 0, appliedBytesPerSecond);
    const before = this.#bytesPerSecond;
    const faded = before - Math.max(0, before - seen) * Math.min(1, passedMs / FADE_MS);
    this.#bytesPerSecond = Math.max(seen, faded);
    const isMeasured = bottleneckBytesPerSecond !== null;
    return {
      bytesPerSecond: isMeasured
        ? this.#bytesPerSecond
        : Math.max(this.#bytesPerSecond, GOODPUT_BYTES_PER_SECOND_ASSUMED),
      isMeasured,
    };
  }
}
