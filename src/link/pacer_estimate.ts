/** Below this nothing useful moves; the path is asked to carry it whatever it does. */
export const FLOOR_BYTES_PER_SECOND = 4_000;
/** Above what the transport moves on one core. */
export const CEILING_BYTES_PER_SECOND = 1_000_000_000;
/** The estimate is the best rate of this many turns of the loop, or of this time. */
const LOOPS = 8;
const MS_MIN = 400;
/** It falls by at most this share in the time that a queue takes to be lasting. */
export const FALL = 0.5;

/** The bottleneck's rate: the best delivery rate of late; pure, time is an argument. */
export class BottleneckEstimate {
  #bytesPerSecond: number;
  /** Falling from the best to the latest. */
  #best: { atMs: number; bytesPerSecond: number }[] = [];
  #takenAtMs: number | null = null;

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** What is assumed as long as nothing says otherwise, or at least. */
  assume(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /**
   * Takes in what the path can do by the latest report.
   *
   * @param fall share by which the estimate may fall in `lastingMs`
   */
  take(
    bytesPerSecond: number,
    nowMs: number,
    { fall, lastingMs, loopMs }: { fall: number; lastingMs: number; loopMs: number },
  ): void {
    const elapsedMs = nowMs - (this.#takenAtMs ?? nowMs);
    this.#takenAtMs = nowMs;
    const sinceMs = nowMs - Math.max(MS_MIN, LOOPS * loopMs);
    this.#best = this.#best.filter((entry) =>
      entry.bytesPerSecond > bytesPerSecond && entry.atMs > sinceMs
    );
    this.#best.push({ atMs: nowMs, bytesPerSecond });
    // Where everything stood still for a moment, the path has not become that much slower.
    const least = this.#bytesPerSecond * (1 - fall * Math.min(1, elapsedMs / lastingMs));
    this.#bytesPerSecond = clampRate(Math.max(this.#best[0].bytesPerSecond, least));
  }

  /** The estimate was wrong: less, at once, but not by more than `FALL`. */
  lower(bytesPerSecond: number, nowMs: number): void {
    const lowered = Math.max(bytesPerSecond, this.#bytesPerSecond * (1 - FALL));
    if (lowered >= this.#bytesPerSecond) return;
    this.#best = [{ atMs: nowMs, bytesPerSecond: lowered }];
    this.#bytesPerSecond = clampRate(lowered);
  }

  /** Only what was measured from then on counts. */
  believeSince(sinceMs: number): void {
    this.#best = this.#best.filter(({ atMs }) => atMs > sinceMs);
  }

  /** Goes on after a time without reports as if it had not been. */
  resume(nowMs: number): void {
    this.#best = [{ atMs: nowMs, bytesPerSecond: this.#bytesPerSecond }];
    this.#takenAtMs = null;
  }
}

export function clampRate(bytesPerSecond: number): number {
  return Math.min(CEILING_BYTES_PER_SECOND, Math.max(FLOOR_BYTES_PER_SECOND, bytesPerSecond));
}
