import type { Clock } from "../../core/clock.ts";
import type { Schedule } from "./schedule.ts";

/** Thrown by what a process that has ended calls: nothing it does has an effect any more. */
export class ProcessEnded extends Error {
  override readonly name = "ProcessEnded";
}

/** A wait that never ends: for a process that is not there any more. */
export const NEVER: Promise<never> = new Promise<never>(() => {});

/** One for all: the stack of each would cost more than everything else of a short wait. */
const ABORTED = new DOMException("The wait was aborted", "AbortError");

export interface ProcessOptions {
  readonly schedule: Schedule;
  /** The wall clock of the host, which may jump. */
  readonly wallMs: () => number;
  /** How late each timer is; from a seeded generator. */
  readonly latenessMs: () => number;
  /** Where the monotonic clock of this process begins: another process's says nothing about it. */
  readonly firstMs: number;
}

/**
 * One process of a simulated host, a gateway's. It may end anywhere: then no timer fires, nothing
 * arrives and whatever it waits for never comes, so that its code stops where it stands.
 */
export class SimProcess {
  #isOver = false;
  #frozenUntilMs = 0;
  readonly #onEnd: (() => void)[] = [];
  readonly clock: Clock;

  constructor(private readonly options: ProcessOptions) {
    const { schedule, wallMs, firstMs } = options;
    const startedAtMs = schedule.nowMs;
    this.clock = {
      wallMs,
      nowMs: () => schedule.nowMs - startedAtMs + firstMs,
      sleep: (ms, signal) => this.#sleep(ms, signal),
    };
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const tell of this.#onEnd) tell();
  }

  /** Called when the process ends, by whoever holds the other end of what it had open. */
  onEnd(tell: () => void): void {
    this.#onEnd.push(tell);
  }

  /** The host gives it no time: what happens meanwhile waits, in its order. */
  freeze(ms: number): void {
    this.#frozenUntilMs = Math.max(this.#frozenUntilMs, this.options.schedule.nowMs + ms);
  }

  /** Calls `act` in this process, if it lives by then. */
  later(delayMs: number, act: () => void | false): void {
    const { schedule } = this.options;
    const happen = (): void | false => {
      if (this.#isOver) return false;
      const frozenMs = this.#frozenUntilMs - schedule.nowMs;
      if (frozenMs <= 0) return act();
      schedule.at(frozenMs, happen);
      return false;
    };
    schedule.at(delayMs, happen);
  }

  /** Resolves after `ms`, if the process lives by then. */
  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.later(ms, resolve));
  }

  /** @throws {ProcessEnded} where nothing can be waited for, in synchronous calls */
  check(): void {
    if (this.#isOver) throw new ProcessEnded("this process has ended");
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    const lateMs = Math.max(0, ms) + this.options.latenessMs();
    if (signal === undefined) return this.pause(lateMs);
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(ABORTED);
      let isDone = false;
      const onAbort = () => {
        isDone = true;
        // A process that has ended is told nothing, not even this.
        if (!this.#isOver) reject(ABORTED);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.later(lateMs, () => {
        if (isDone) return false;
        signal.removeEventListener("abort", onAbort);
        resolve();
      });
    });
  }
}
