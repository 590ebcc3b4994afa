/** Lets bytes go at a rate, with a short memory for turns that were missed; pure. */
export class TokenBucket {
  #tokens = 0;
  #atMs: number | null = null;

  /** ms until the next bytes may leave; 0: now. */
  waitMs(nowMs: number, bytesPerSecond: number, burstMs: number): number {
    this.#refill(nowMs, bytesPerSecond, burstMs);
    return this.#tokens >= 0 ? 0 : -this.#tokens * 1000 / bytesPerSecond;
  }

  /** Bytes left, whether they waited or not. */
  take(bytes: number, nowMs: number, bytesPerSecond: number, burstMs: number): void {
    this.#refill(nowMs, bytesPerSecond, burstMs);
    this.#tokens -= bytes;
  }

  #refill(nowMs: number, bytesPerSecond: number, burstMs: number): void {
    const gained = Math.max(0, nowMs - (this.#atMs ?? nowMs)) * bytesPerSecond / 1000;
    this.#tokens = Math.min(bytesPerSecond * burstMs / 1000, this.#tokens + gained);
    this.#atMs = nowMs;
  }
}
