const BUCKETS = 10;

/** Least of what was added within a window, in ten buckets; pure, time is an argument. */
export class WindowedLeast {
  #buckets: { startMs: number; least: number }[] = [];

  constructor(readonly windowMs: number) {}

  /** Null before the first value. */
  get value(): number | null {
    return this.#buckets.length === 0 ? null : Math.min(...this.#buckets.map(({ least }) => least));
  }

  add(value: number, nowMs: number): void {
    const last = this.#buckets.at(-1);
    if (last && nowMs < last.startMs + this.windowMs / BUCKETS) {
      last.least = Math.min(last.least, value);
    } else this.#buckets.push({ startMs: nowMs, least: value });
    this.#buckets = this.#buckets.filter(({ startMs }) => startMs > nowMs - this.windowMs);
  }

  /** Forgets everything but this. */
  reset(value: number, nowMs: number): void {
    this.#buckets = [{ startMs: nowMs, least: value }];
  }
}
