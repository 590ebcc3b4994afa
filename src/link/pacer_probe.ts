/**
 * What is asked for beyond the estimate while nothing shows that the path is the limit; doubled
 * every two round trips.
 */
const LEAST = 0.04;
const MOST = 1;
const STEP_MS_MIN = 80;
const STEP_LOOPS = 2;
/** A short path's queue is soon full: less at its start, and least near a limit that is known. */
const SHORT_MOST = 0.5;
const NEAR = 0.02;
/** Near a known limit a short path is asked for little so many times before that has found more. */
const NEAR_STEPS = 5;

/** By how much more than the estimate is asked for; pure, time is an argument. */
export class Probe {
  #ratio = MOST;
  #steps = 0;
  #sinceMs = 0;
  #from = 0;
  #halvedAtMs = -Infinity;

  /** Share of the estimate. */
  get ratio(): number {
    return this.#ratio;
  }

  /** The estimate when it began. */
  get fromBytesPerSecond(): number {
    return this.#from;
  }

  /** Asks for the most at once: at the start, and after a time in which nothing could be learnt. */
  open(isShort: boolean, bytesPerSecond: number, nowMs: number): void {
    this.#ratio = isShort ? SHORT_MOST : MOST;
    this.#steps = 0;
    this.#from = bytesPerSecond;
    this.#sinceMs = nowMs;
  }

  /** Begins with the least: the path has shown that it is the limit. */
  restart(isNear: boolean, bytesPerSecond: number, nowMs: number): void {
    this.#ratio = isNear ? NEAR : LEAST;
    this.#steps = 0;
    this.#from = bytesPerSecond;
    this.#sinceMs = nowMs;
  }

  /** What was asked for was not sent, so nothing is learnt. */
  wait(nowMs: number): void {
    this.#sinceMs = nowMs;
  }

  /** Nothing shows the limit: more, once in two turns of the loop. */
  grow(loopMs: number, isShortStart: boolean, isNear: boolean, nowMs: number): void {
    if (nowMs - this.#sinceMs <= Math.max(STEP_MS_MIN, STEP_LOOPS * loopMs)) return;
    const isPatient = isNear && ++this.#steps < NEAR_STEPS;
    if (!isPatient) this.#ratio = Math.min(isShortStart ? SHORT_MOST : MOST, 2 * this.#ratio);
    this.#sinceMs = nowMs;
  }

  /** Half for each turn of the loop with a queue: a moment of jitter must not end a probe. */
  halve(loopMs: number, nowMs: number): void {
    this.#sinceMs = nowMs;
    if (nowMs - this.#halvedAtMs <= loopMs) return;
    this.#ratio = Math.max(LEAST, this.#ratio / 2);
    this.#halvedAtMs = nowMs;
  }
}
