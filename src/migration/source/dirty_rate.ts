/** Increments are averaged over this. */
const WINDOW_MS = 5_000;
/** Nothing is known from less. */
const KNOWN_MS = 1_000;

/**
 * How fast a disk gets dirty, from a count of dirty bytes that a new round sets back: pure. Only
 * what was added between two looks counts, so a block written twice within a round counts once.
 */
export class DirtyRate {
  #last: { readonly dirtyBytes: number; readonly atMs: number } | null = null;
  #steps: { readonly atMs: number; readonly lengthMs: number; readonly addedBytes: number }[] = [];

  /** Takes in the count at this moment. */
  take(dirtyBytes: number, nowMs: number): void {
    const last = this.#last;
    this.#last = { dirtyBytes, atMs: nowMs };
    if (last === null || nowMs <= last.atMs) return;
    // Set back meanwhile: what it holds now was added since, over a part of the step.
    const addedBytes = dirtyBytes >= last.dirtyBytes ? dirtyBytes - last.dirtyBytes : dirtyBytes;
    this.#steps.push({ atMs: nowMs, lengthMs: nowMs - last.atMs, addedBytes });
    while (this.#steps[0].atMs <= nowMs - WINDOW_MS) this.#steps.shift();
  }

  /** Null while unknown. */
  get bytesPerSecond(): number | null {
    let [ms, bytes] = [0, 0];
    for (const { lengthMs, addedBytes } of this.#steps) {
      ms += lengthMs;
      bytes += addedBytes;
    }
    return ms < KNOWN_MS ? null : bytes * 1000 / ms;
  }
}
