/** The path's own measure is a mean over some seconds: one sample each second is new enough. */
const SAMPLE_MS = 1_000;
const SAMPLES_MAX = 60;

/**
 * What the path itself loses, in the long run: the mean of the lower half of the last minute's means. Losses
 * come in some seconds and not in others by chance, and in some because the move's own queue ran
 * over, which a pause does not do: a forecast by the latest mean would have a recovery in it that
 * does not come.
 */
export class LossSeen {
  #samples: number[] = [];
  #atMs = -Infinity;

  /** Null while unknown. */
  get ratio(): number | null {
    if (this.#samples.length === 0) return null;
    const sorted = this.#samples.toSorted((a, b) => a - b);
    const lower = sorted.slice(0, (sorted.length + 1) >> 1);
    return lower.reduce((sum, ratio) => sum + ratio) / lower.length;
  }

  observe(judgedMs: number, lossRatio: number | null): void {
    if (lossRatio === null || judgedMs - this.#atMs < SAMPLE_MS) return;
    this.#atMs = judgedMs;
    this.#samples.push(lossRatio);
    if (this.#samples.length > SAMPLES_MAX) this.#samples.shift();
  }

  /** Another path, or the same after a gap. */
  forget(): void {
    this.#samples = [];
    this.#atMs = -Infinity;
  }
}
