import type { Clock } from "../core/clock.ts";
import type { MachineAddress, ProbeSettings } from "../guest/addresses.ts";
import type { Probe } from "./probes.ts";
import { probeText } from "./probes.ts";

/** Before a move nobody waits for an answer. */
const BASELINE_MS = 2_000;
/** While the machine is awaited: a probe that has no answer is left behind by the next one. */
const INTERVAL_MS = 50;
const TIMEOUT_MS = 3_000;

/** One question to a machine. */
interface Asked {
  readonly text: string;
  readonly ask: (timeoutMs: number) => Promise<boolean>;
}

/** What came of the questions. */
export interface Reached {
  /** From the start of the watch until all were answered that were before the move. */
  readonly waitedMs: number;
  readonly reached: boolean;
  /** What was not answered in time. */
  readonly missing: readonly string[];
}

/**
 * Whether a machine is reached from this site: asked before a move, so that what never answers is
 * not waited for, and again and again from the pause on until everything answers.
 */
export class ReachWatch {
  #answering: readonly Asked[];

  constructor(
    addresses: readonly MachineAddress[],
    probes: readonly ProbeSettings[],
    private readonly clock: Pick<Clock, "nowMs" | "sleep">,
    probe: Probe,
  ) {
    this.#answering = addresses.flatMap(({ ip }) =>
      probes.map((settings) => ({
        text: probeText(ip, settings),
        ask: (timeoutMs: number) => probe(ip, settings, timeoutMs),
      }))
    );
  }

  /** Leaves out what does not answer while the machine runs where it was. @returns those */
  async baseline(): Promise<string[]> {
    const answers = await Promise.all(this.#answering.map(({ ask }) => ask(BASELINE_MS)));
    const silent = this.#answering.filter((_, n) => !answers[n]).map(({ text }) => text);
    this.leaveOut(silent);
    return silent;
  }

  /** What did not answer before the move, as an earlier process found. */
  leaveOut(silent: readonly string[]): void {
    this.#answering = this.#answering.filter(({ text }) => !silent.includes(text));
  }

  /**
   * Asks until all have answered a question that was put after now.
   *
   * @param limit resolves when nobody waits any longer
   * @returns null where there is nothing to ask
   */
  async wait(limit: Promise<void>, signal: AbortSignal): Promise<Reached | null> {
    if (this.#answering.length === 0) return null;
    const { clock } = this;
    const beganMs = clock.nowMs();
    const ended = new AbortController();
    const until = AbortSignal.any([signal, ended.signal]);
    void limit.then(() => ended.abort());
    const open = new Set(this.#answering);
    await Promise.all(this.#answering.map((asked) =>
      this.#until(asked, until, () => {
        open.delete(asked);
      })
    ));
    return {
      waitedMs: Math.round(clock.nowMs() - beganMs),
      reached: open.size === 0,
      missing: [...open].map(({ text }) => text),
    };
  }

  /** Puts a question each interval, whether or not the ones before were answered. */
  async #until({ ask }: Asked, signal: AbortSignal, answered: () => void): Promise<void> {
    const done = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => done.resolve(), { once: true });
    if (signal.aborted) return;
    let isDone = false;
    void done.promise.then(() => isDone = true);
    while (!isDone && !signal.aborted) {
      void ask(TIMEOUT_MS).then((yes) => {
        if (!yes || isDone) return;
        answered();
        done.resolve();
      });
      await Promise.race([done.promise, this.clock.sleep(INTERVAL_MS, signal).catch(() => {})]);
    }
    await done.promise;
  }
}
