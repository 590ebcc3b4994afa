/** Unused allowance is kept for this long, so that a program that is late costs no rate. */
export const BURST_MS = 200;

/**
 * A rate cap by debt: a record may start while nothing is owed, and what it costs is paid off at
 * the rate. The long-run rate is exact whatever the record sizes; over any time t at most
 * `rate * (t + burstMs)` and one record pass. Changing the rate keeps the debt in bytes, so a new
 * rate holds from the next record on.
 */
export class RateLimit {
  #bytesPerSecond: number | null;
  /** Bytes that may be spent; negative while in debt. */
  #allowance = 0;
  #atMs: number;

  /** @param bytesPerSecond null: no cap */
  constructor(bytesPerSecond: number | null, nowMs: number, readonly burstMs = BURST_MS) {
    this.#bytesPerSecond = checked(bytesPerSecond);
    this.#atMs = nowMs;
  }

  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  set(bytesPerSecond: number | null, nowMs: number): void {
    this.#settle(nowMs);
    this.#bytesPerSecond = checked(bytesPerSecond);
    this.#settle(nowMs);
  }

  /** When the next record may start: a time not after `nowMs` means now. */
  readyAtMs(nowMs: number): number {
    if (this.#bytesPerSecond === null) return nowMs;
    this.#settle(nowMs);
    return this.#allowance >= 0 ? nowMs : nowMs - this.#allowance * 1000 / this.#bytesPerSecond;
  }

  /** A record of this size was sent, whether it was allowed or too urgent to ask. */
  spend(bytes: number, nowMs: number): void {
    if (this.#bytesPerSecond === null) return;
    this.#settle(nowMs);
    this.#allowance -= bytes;
  }

  #settle(nowMs: number): void {
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = Math.max(this.#atMs, nowMs);
    if (this.#bytesPerSecond === null) {
      this.#allowance = 0;
      return;
    }
    const burstBytes = this.#bytesPerSecond * this.burstMs / 1000;
    this.#allowance = Math.min(
      burstBytes,
      this.#allowance + this.#bytesPerSecond * passedMs / 1000,
    );
  }
}

function checked(bytesPerSecond: number | null): number | null {
  if (bytesPerSecond === null || (Number.isFinite(bytesPerSecond) && bytesPerSecond > 0)) {
    return bytesPerSecond;
  }
  throw new RangeError(`A rate must be positive or null, got ${bytesPerSecond}`);
}
