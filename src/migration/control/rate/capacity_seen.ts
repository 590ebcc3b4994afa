import { GOODPUT_BYTES_PER_SECOND_ASSUMED } from "../forecast.ts";

/** The most that was seen fades in this time, ms. */
const FADE_MS = 300_000;

/**
 * What the path carries, for shares of it: the most of the last minutes. The present estimate of the
 * bottleneck is no measure, because beside other traffic it falls with our own share.
 */
export class CapacitySeen {
  #bytesPerSecond: number | null = null;
  #atMs = 0;

  observe(judgedMs: number, bottleneckBytesPerSecond: number | null): number {
    const before = this.#bytesPerSecond ?? 0;
    const passedMs = Math.max(0, judgedMs - this.#atMs);
    this.#atMs = judgedMs;
    if (bottleneckBytesPerSecond === null) {
      return this.#bytesPerSecond ?? GOODPUT_BYTES_PER_SECOND_ASSUMED;
    }
    const faded = before - Math.max(0, before - bottleneckBytesPerSecond) * passedMs / FADE_MS;
    this.#bytesPerSecond = Math.max(bottleneckBytesPerSecond, faded);
    return this.#bytesPerSecond;
  }
}
