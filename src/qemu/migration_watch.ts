import { ask, type MigrateAnswer, migrateAnswer, statusAnswer, yankAnswer } from "./answers.ts";
import type { Machine } from "./machine.ts";
import { QmpCommandError } from "./qmp/client.ts";

/** States that QEMU's migration does not leave by itself. */
export const SETTLED: ReadonlySet<string> = new Set(["none", "completed", "failed", "cancelled"]);

/**
 * Events tell at once, but only while the capability `events` is on and the monitor is up; asking
 * now and then makes a missed one a delay instead of a hang.
 */
const POLL_MS = 200;
/** No event tells of `postmigrate`, nor of `paused` after a load; both follow within ms. */
const RUN_STATE_POLL_MS = 10;
const LET_GO_TIMEOUT_MS = 5_000;

/** Waits for states of the machine and its migration. */
export class MigrationWatch {
  readonly #changed = new Set<() => void>();
  readonly #unsubscribe: () => void;
  /** Monotonic ms at which the latest STOP event arrived; null before, and after RESUME. */
  stoppedAtMs: number | null = null;

  constructor(private readonly machine: Machine) {
    this.#unsubscribe = machine.onEvent((event) => {
      if (event.name === "STOP") this.stoppedAtMs = machine.clock.nowMs();
      if (event.name === "RESUME") this.stoppedAtMs = null;
      if (event.name === "MIGRATION" || event.name === "STOP" || event.name === "RESUME") {
        for (const wake of [...this.#changed]) wake();
      }
    });
    // Whoever waits must look again, and meet the lost connection.
    machine.closed.then(() => {
      for (const wake of [...this.#changed]) wake();
    });
  }

  async migration(): Promise<MigrateAnswer & { status: string }> {
    const answer = await ask(this.machine, "query-migrate", migrateAnswer);
    return { ...answer, status: answer.status ?? "none" };
  }

  async runState(): Promise<string> {
    return (await ask(this.machine, "query-status", statusAnswer)).status;
  }

  /** Waits until the migration has one of the states; null when `withinMs` was not enough. */
  untilMigration(
    states: ReadonlySet<string>,
    withinMs = Infinity,
  ): Promise<(MigrateAnswer & { status: string }) | null> {
    return this.#until(withinMs, POLL_MS, async () => {
      const answer = await this.migration();
      return states.has(answer.status) ? answer : null;
    });
  }

  /** Waits until `isTrue` for QEMU's own run state; null when `withinMs` was not enough. */
  untilRunState(isTrue: (status: string) => boolean, withinMs: number): Promise<string | null> {
    return this.#until(withinMs, RUN_STATE_POLL_MS, async () => {
      const status = await this.runState();
      return isTrue(status) ? status : null;
    });
  }

  /**
   * Waits until QEMU has let go of a migration that has settled. Its thread may still be at work: a
   * new one would be refused ("duplicate yank instance", seen on a busy host), and `auto-converge`
   * turned off now would leave the processors throttled for good, because only a thread that still
   * sees it on sets them free (10.0).
   */
  async untilLetGo(): Promise<void> {
    await this.#until(LET_GO_TIMEOUT_MS, RUN_STATE_POLL_MS, async () => {
      try {
        const held = await ask(this.machine, "query-yank", yankAnswer);
        return held.some(({ type }) => type === "migration") ? null : true;
      } catch (thrown) {
        // Before 6.0 nobody can tell.
        if (thrown instanceof QmpCommandError) return true;
        throw thrown;
      }
    });
  }

  close(): void {
    this.#unsubscribe();
  }

  async #until<T>(
    withinMs: number,
    pollMs: number,
    look: () => Promise<T | null>,
  ): Promise<T | null> {
    const { clock } = this.machine;
    const endMs = clock.nowMs() + withinMs;
    for (;;) {
      // Listening begins before looking, so that nothing falls between the two.
      const woken = Promise.withResolvers<void>();
      this.#changed.add(woken.resolve);
      const timer = new AbortController();
      try {
        const found = await look();
        if (found !== null) return found;
        const leftMs = endMs - clock.nowMs();
        if (leftMs <= 0) return null;
        const slept = clock.sleep(Math.min(pollMs, leftMs), timer.signal).catch(() => {});
        await Promise.race([woken.promise, slept]);
      } finally {
        this.#changed.delete(woken.resolve);
        timer.abort();
      }
    }
  }
}
