/** More than is sent arrives while a queue drains, or jitter falls; it weighs no more than this. */
const RATIO_MAX = 1.25;

/** Mean share of what is sent that arrives; pure. Below one the path cannot carry it. */
export class CarriedRatio {
  /** The mean is over so many turns of the loop, or `msMin`. */
  constructor(private readonly loops: number, private readonly msMin: number) {}

  #mean = 1;
  #atMs: number | null = null;

  get value(): number {
    return this.#mean;
  }

  take(ratio: number, loopMs: number, nowMs: number): void {
    const meanMs = Math.max(this.msMin, this.loops * loopMs);
    const share = Math.min(1, (nowMs - (this.#atMs ?? nowMs)) / meanMs);
    this.#atMs = nowMs;
    this.#mean += share * (Math.min(RATIO_MAX, ratio) - this.#mean);
  }

  reset(): void {
    this.#mean = 1;
    this.#atMs = null;
  }
}
