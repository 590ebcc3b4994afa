import type { Clock } from "../core/clock.ts";

interface Sleeper {
  readonly atMs: number;
  readonly order: number;
  readonly wake: () => void;
}

/** Turns of the event loop given to promises between two steps of time. */
const SETTLE_TURNS = 2;

/**
 * A clock that stands still until a test moves it. Whoever sleeps wakes in order of time, then of
 * falling asleep; between two of them everything that promises can do is done.
 */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  /** Binary heap by (atMs, order). */
  readonly #sleepers: Sleeper[] = [];
  readonly #startWallMs: number;

  /** @param startWallMs wall clock at virtual time 0 */
  constructor(startWallMs = Date.UTC(2024, 0, 1)) {
    this.#startWallMs = startWallMs;
  }

  wallMs(): number {
    return this.#startWallMs + Math.floor(this.#nowMs);
  }

  nowMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortError());
      let done = false;
      const onAbort = () => {
        done = true;
        reject(abortError());
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      const wake = () => {
        if (done) return;
        signal?.removeEventListener("abort", onAbort);
        resolve();
      };
      this.#push({ atMs: this.#nowMs + Math.max(0, ms), order: this.#order++, wake });
    });
  }

  /** Lets time pass, waking every sleeper on the way. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settle();
    while (this.#sleepers.length > 0 && this.#sleepers[0].atMs <= untilMs) await this.#step();
    this.#nowMs = untilMs;
  }

  /**
   * Lets time pass until `promise` has settled, and gives its outcome.
   *
   * @throws {Error} when nothing sleeps any more or `limitMs` have passed: it would never settle
   */
  async until<T>(promise: Promise<T>, limitMs = 3_600_000): Promise<T> {
    let settled = false;
    const onSettled = () => void (settled = true);
    promise.then(onSettled, onSettled);
    const untilMs = this.#nowMs + limitMs;
    await settle();
    while (!settled) {
      const next = this.#sleepers[0];
      if (next === undefined) throw new Error("Nothing sleeps and the promise is still pending");
      if (next.atMs > untilMs) throw new Error(`The promise is still pending after ${limitMs} ms`);
      await this.#step();
    }
    return await promise;
  }

  async #step(): Promise<void> {
    const sleeper = this.#pop();
    this.#nowMs = Math.max(this.#nowMs, sleeper.atMs);
    sleeper.wake();
    await settle();
  }

  #push(sleeper: Sleeper): void {
    const heap = this.#sleepers;
    let i = heap.push(sleeper) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(heap[i], heap[parent])) break;
      [heap[i], heap[parent]] = [heap[parent], heap[i]];
      i = parent;
    }
  }

  #pop(): Sleeper {
    const heap = this.#sleepers;
    const first = heap[0];
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    heap[0] = last;
    for (let i = 0;;) {
      let least = i;
      for (const child of [2 * i + 1, 2 * i + 2]) {
        if (child < heap.length && isBefore(heap[child], heap[least])) least = child;
      }
      if (least === i) return first;
      [heap[i], heap[least]] = [heap[least], heap[i]];
      i = least;
    }
  }
}

/** Lets every promise that can go on do so; `setImmediate` is a thousand times cheaper than timers. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

function isBefore(a: Sleeper, b: Sleeper): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

function abortError(): DOMException {
  return new DOMException("The wait was aborted", "AbortError");
}
