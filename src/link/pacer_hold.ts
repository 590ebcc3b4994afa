/** After a limit was met nothing more is looked for; longer each time that it is the same limit. */
const MS_MIN = 250;
const MS_MAX = 4_000;
/** What the probe that met the limit did is still being told for so long. */
const SETTLING_MS = 150;
const SAME_RATIO = 0.1;

/** The limit that a path has shown last, and how long to stay below it; pure. */
export class LimitHold {
  #atMs = -Infinity;
  #bytesPerSecond = 0;
  #ms = MS_MIN;

  /** The path has shown that it is the limit, at this estimate. */
  met(bytesPerSecond: number, nowMs: number): void {
    if (this.isHolding(nowMs)) return;
    this.#ms = this.isNear(bytesPerSecond) ? Math.min(MS_MAX, 2 * this.#ms) : MS_MIN;
    this.#bytesPerSecond = bytesPerSecond;
    this.#atMs = nowMs;
  }

  isHolding(nowMs: number): boolean {
    return nowMs - this.#atMs < this.#ms;
  }

  /** True while what is seen is the path below its limit. */
  isSettled(nowMs: number): boolean {
    return this.isHolding(nowMs) && nowMs - this.#atMs > SETTLING_MS;
  }

  /** True where the estimate is about what it was when the limit was met. */
  isNear(bytesPerSecond: number): boolean {
    return Math.abs(bytesPerSecond / this.#bytesPerSecond - 1) < SAME_RATIO;
  }

  /** Looks for more at once. */
  end(): void {
    this.#atMs = -Infinity;
    this.#ms = MS_MIN;
  }
}
