/** Of lines that say the same, so many are written in one period. */
export const LINES_PER_PERIOD = 5;
export const PERIOD_MS = 60_000;
/** Different lines that are remembered; a flood of them pushes the oldest out. */
const REMEMBERED_MAX = 512;

interface Seen<T> {
  readonly sinceMs: number;
  written: number;
  held: number;
  last: T;
}

/** Decides which lines are written, and counts the others. Pure: times are arguments. */
export class LogRepeats<T> {
  /** Oldest period first. */
  readonly #seen = new Map<string, Seen<T>>();

  /** @returns false for a line that is only counted */
  passes(key: string, line: T, nowMs: number): boolean {
    const seen = this.#seen.get(key);
    if (seen === undefined) {
      this.#seen.set(key, { sinceMs: nowMs, written: 1, held: 0, last: line });
      // One that is pushed out takes its count with it: memory goes before completeness.
      if (this.#seen.size > REMEMBERED_MAX) this.#seen.delete(this.#seen.keys().next().value!);
      return true;
    }
    if (seen.written < LINES_PER_PERIOD) {
      seen.written++;
      return true;
    }
    seen.held++;
    seen.last = line;
    return false;
  }

  /** Forgets periods that have ended. @returns the last line that each held back, and how many */
  due(nowMs: number): { last: T; count: number }[] {
    const told: { last: T; count: number }[] = [];
    for (const [key, { sinceMs, held, last }] of this.#seen) {
      if (nowMs - sinceMs < PERIOD_MS) break;
      this.#seen.delete(key);
      if (held === 0) continue;
      told.push({ last, count: held });
      // What goes on is written once in each further period, not five times again.
      this.#seen.set(key, { sinceMs: nowMs, written: LINES_PER_PERIOD, held: 0, last });
    }
    return told;
  }
}
