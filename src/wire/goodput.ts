const BUCKET_MS = 100;
const BUCKETS = 10;

/** Bytes per second over the last second, in steps of 100 ms. */
export class GoodputMeter {
  readonly #bytes = new Float64Array(BUCKETS);
  #bucket = 0;
  #startedAtMs: number | null = null;

  add(bytes: number, nowMs: number): void {
    this.#startedAtMs ??= nowMs;
    this.#turn(nowMs);
    this.#bytes[this.#bucket % BUCKETS] += bytes;
  }

  /** Null before the first byte. */
  bytesPerSecond(nowMs: number): number | null {
    if (this.#startedAtMs === null) return null;
    this.#turn(nowMs);
    let sum = 0;
    for (const bytes of this.#bytes) sum += bytes;
    const fullMs = (BUCKETS - 1) * BUCKET_MS + nowMs % BUCKET_MS;
    // At least two buckets: one burst in the first millisecond is no rate.
    return sum * 1000 / Math.max(2 * BUCKET_MS, Math.min(fullMs, nowMs - this.#startedAtMs));
  }

  #turn(nowMs: number): void {
    const bucket = Math.floor(nowMs / BUCKET_MS);
    const passed = Math.min(bucket - this.#bucket, BUCKETS);
    for (let i = 1; i <= passed; i++) this.#bytes[(bucket - passed + i) % BUCKETS] = 0;
    this.#bucket = Math.max(this.#bucket, bucket);
  }
}
