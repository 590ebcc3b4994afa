/** Turns that were missed are caught up with, but only this much faster than the rate. */
const CATCH_UP_GAIN = 1.5;
/** Timers of the runtime fire up to 1.4 ms late: what that misses may leave at once. */
const BURST_MS = 1.5;

/**
 * Lets bytes go at a rate; pure, time is an argument. A program that was held up for some ms then
 * catches up with what it missed, without a burst that would overrun a short queue.
 */
export class PacedSender {
  readonly #steady = new TokenBucket();
  readonly #peak = new TokenBucket();

  /** ms until the next bytes may leave; 0: now. */
  waitMs(nowMs: number, bytesPerSecond: number, memoryMs: number): number {
    return Math.max(
      this.#steady.waitMs(nowMs, bytesPerSecond, memoryMs),
      this.#peak.waitMs(nowMs, CATCH_UP_GAIN * bytesPerSecond, BURST_MS),
    );
  }

  /** Bytes leave, whether they waited or not. */
  sent(bytes: number, nowMs: number, bytesPerSecond: number, memoryMs: number): void {
    this.#steady.take(bytes, nowMs, bytesPerSecond, memoryMs);
    this.#peak.take(bytes, nowMs, CATCH_UP_GAIN * bytesPerSecond, BURST_MS);
  }
}

/** Fills at a rate up to what it gains in `depthMs`; may be overdrawn. */
class TokenBucket {
  #tokens = 0;
  #atMs: number | null = null;

  waitMs(nowMs: number, bytesPerSecond: number, depthMs: number): number {
    this.#refill(nowMs, bytesPerSecond, depthMs);
    return this.#tokens >= 0 ? 0 : -this.#tokens * 1000 / bytesPerSecond;
  }

  take(bytes: number, nowMs: number, bytesPerSecond: number, depthMs: number): void {
    this.#refill(nowMs, bytesPerSecond, depthMs);
    this.#tokens -= bytes;
  }

  #refill(nowMs: number, bytesPerSecond: number, depthMs: number): void {
    const gained = Math.max(0, nowMs - (this.#atMs ?? nowMs)) * bytesPerSecond / 1000;
    this.#tokens = Math.min(bytesPerSecond * depthMs / 1000, this.#tokens + gained);
    this.#atMs = nowMs;
  }
}
