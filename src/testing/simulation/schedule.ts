import { DueQueue } from "../../emulator/due_queue.ts";

/** Something that happens at its time; false when it turned out to be nothing. */
export type Happening = () => void | false;

/**
 * Virtual time of one simulated world: everything that is going to happen, in order of time, then of
 * being planned. Nothing in a world waits for real time.
 */
export class Schedule {
  #nowMs = 0;
  readonly #due = new DueQueue<Happening>();

  get nowMs(): number {
    return this.#nowMs;
  }

  /** @param delayMs from now; negative ones count as 0 */
  at(delayMs: number, happen: Happening): void {
    this.#due.push(this.#nowMs + Math.max(0, delayMs), happen);
  }

  /**
   * Goes on to the next thing that happens and lets it.
   *
   * @returns false when nothing is left
   */
  step(): boolean {
    while (this.#due.length > 0) {
      this.#nowMs = Math.max(this.#nowMs, this.#due.nextDueMs);
      if (this.#due.pop()() !== false) return true;
    }
    return false;
  }
}

interface RuntimeCore {
  readonly runMicrotasks?: () => void;
}

/**
 * Runs every promise reaction that can run, by the runtime's own function; null where it has none.
 * A turn of the event loop does the same for fifty times the price, which is most of a run then.
 */
const drain: (() => void) | null = (() => {
  const runtime = Deno as unknown as
    & { internal?: symbol }
    & Record<
      symbol,
      { core?: RuntimeCore } | undefined
    >;
  const core = runtime.internal === undefined ? undefined : runtime[runtime.internal]?.core;
  return core?.runMicrotasks === undefined ? null : () => core.runMicrotasks!();
})();

/**
 * Calls `step` until it returns false. Between two calls every promise goes as far as it can.
 *
 * Rejects with what `step` throws.
 */
export function drive(step: () => boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const turn = () => {
      try {
        if (drain === null) {
          if (step()) setImmediate(turn);
          else resolve();
          return;
        }
        do drain(); while (step());
        resolve();
      } catch (error) {
        reject(error);
      }
    };
    // Never inside of a promise reaction: there the runtime's function does nothing.
    setImmediate(turn);
  });
}
