import type { Clock } from "../core/clock.ts";
import { type GatewayError, toGatewayError } from "../core/errors.ts";
import { carryingKind } from "../guest/addresses.ts";
import { isRedirected, type Means, type Target, type Traffic } from "./means.ts";
import type { ReachWatch } from "./reach_watch.ts";
import {
  nextRedirectState,
  redirectAllows,
  redirectEnded,
  type RedirectEvent,
  type RedirectState,
  type RedirectSubject,
  type Stage,
} from "./state.ts";

/** Between two tries to set what could not be set. */
const RETRY_MS = 2_000;
/** How often a drain looks for packets, at most. */
const LOOK_MS_MAX = 1_000;

/** An event with the time of its record. */
export type RecordedEvent = RedirectEvent & { readonly at: string };

export interface RedirectDeps {
  readonly site: string;
  readonly clock: Clock;
  readonly means: readonly Means[];
  readonly isHome: boolean;
  /** Asks whether the machine is reached from here. */
  readonly reach: ReachWatch;
  /** Durable when it returns. @throws {GatewayError} `ledger_write_failed` */
  readonly record: (event: RedirectEvent) => RecordedEvent;
  /** Something that a view shows has changed. */
  readonly changed: (redirect: Redirect) => void;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/**
 * One end of one redirect in this process: writes its events, and then makes the site's rules what
 * the stage says, again and again until they are. A stage that comes while another one is being
 * applied is applied after it.
 */
export class Redirect {
  #state: RedirectState;
  readonly #events: RecordedEvent[];
  /** That was applied last by this process. */
  #applied: Stage | null = null;
  #applying: Promise<void> | null = null;
  readonly #letGo = new AbortController();
  #waiting = new AbortController();
  #traffic: Traffic | null = null;
  #draining: Promise<void> | null = null;
  #awaiting: AbortController | null = null;
  #isAwaited = false;
  #arrived = Promise.withResolvers<void>();

  /** @param events of the ledger; the state is their fold */
  constructor(
    readonly subject: RedirectSubject,
    events: readonly RecordedEvent[],
    state: RedirectState,
    private readonly deps: RedirectDeps,
  ) {
    this.#events = [...events];
    this.#state = state;
    for (const event of events) if (event.kind === "probed") deps.reach.leaveOut(event.silent);
    deps.means.forEach((means, index) => {
      means.onBroken?.((problem) => this.#broken(problem));
      means.useMemory?.({
        read: () => this.#remembered(index),
        write: (value) => this.#record({ kind: "remembered", means: index, value }),
      });
    });
  }

  get state(): RedirectState {
    return this.#state;
  }

  get events(): readonly RecordedEvent[] {
    return this.#events;
  }

  get isHome(): boolean {
    return this.deps.isHome;
  }

  /** As it was counted last. */
  get lastTraffic(): Traffic | null {
    return this.#traffic;
  }

  /** What this site lacks. @throws {GatewayError} `redirect_failed` */
  async check(): Promise<void> {
    for (const means of this.deps.means) await means.check(this.#target("bound"));
  }

  /** Does before the pause what does no harm while the machine runs. Never rejects. */
  async arm(): Promise<void> {
    const target = this.#target("prepared");
    await Promise.all(
      this.deps.means.map((means) =>
        means.arm?.(target).catch((error) =>
          this.deps.log("warn", `${this.#name}: ${toGatewayError(error).message}`)
        )
      ),
    );
  }

  /** Writes an event, where the stage allows it, and begins with its effect. */
  write(event: RedirectEvent): void {
    if (!redirectAllows(this.#state, event.kind)) return;
    this.#record(event);
    this.#waiting.abort();
    this.start();
    if (event.kind === "switched") this.#await(true);
    if (event.kind === "arrived") this.#arrived.resolve();
    if (event.kind === "unswitched" || event.kind === "undone") this.#awaiting?.abort();
  }

  /** Notes what the machine answers while it runs where it was. Never rejects. */
  async baseline(): Promise<void> {
    const silent = await this.deps.reach.baseline();
    if (silent.length > 0) this.#record({ kind: "probed", silent });
  }

  /** What the operator says to an open question. */
  answer(keep: boolean, by: string): void {
    this.#record({ kind: "answered", keep, by });
  }

  /** After a restart: a machine that was not reached before is awaited again. */
  resumeWait(): void {
    const { stage, reach } = this.#state;
    if (reach !== null || !isRedirected(stage)) return;
    if (stage === "draining") this.#arrived.resolve();
    this.#await(false);
  }

  /** Applies the present stage, if that is not done; after a restart it always is. */
  start(): void {
    if (this.#letGo.signal.aborted) return;
    this.#applying ??= this.#apply()
      .catch(async (error) => {
        this.deps.log("error", `${this.#name}: ${error.stack ?? error}`);
        // A ledger that cannot be written: the rules stand, their record comes later.
        await this.deps.clock.sleep(RETRY_MS, this.#letGo.signal).catch(() => {});
      })
      .finally(() => {
        this.#applying = null;
        // What was written between the last look and here.
        if (!this.#state.settled && !this.#letGo.signal.aborted) this.start();
      });
  }

  /**
   * Resolves when the present stage is applied.
   *
   * @throws {GatewayError} `redirect_failed` at the first failure; it is tried again all the same
   */
  async whenSettled(): Promise<void> {
    while (!this.#state.settled && !this.#letGo.signal.aborted) {
      if (this.#failure) throw this.#failure;
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }
  #failure: GatewayError | null = null;
  #waiters: (() => void)[] = [];

  /** The commands of each means in each stage: a dry run. */
  commands(): { means: string; stage: Stage; commands: readonly string[] }[] {
    const stages: Stage[] = ["prepared", "redirecting", "draining", "retired"];
    return stages.flatMap((stage, index) =>
      this.deps.means.map((means) => ({
        means: means.kind,
        stage,
        commands: means.commands(this.#target(stage, stages[index - 1] ?? "bound")),
      }))
    );
  }

  /** Counts now. */
  async traffic(): Promise<Traffic | null> {
    for (const means of this.deps.means) {
      const counted = await means.traffic().catch(() => null);
      if (counted) return this.#traffic = counted;
    }
    return this.#traffic;
  }

  /** The gateway stops: nothing is undone, the next start goes on. */
  async letGo(): Promise<void> {
    this.#letGo.abort();
    this.#waiting.abort();
    await this.#applying;
    await Promise.all(this.deps.means.map((means) => means.letGo().catch(() => {})));
    this.#wake();
  }

  async #apply(): Promise<void> {
    const { signal } = this.#letGo;
    for (;;) {
      const { stage, settled } = this.#state;
      if (signal.aborted || (settled && this.#applied === stage)) return;
      this.#waiting = new AbortController();
      let output = "";
      try {
        output = await this.#applyMeans(stage);
      } catch (thrown) {
        await this.#failed(toGatewayError(thrown), stage);
        continue;
      }
      if (signal.aborted) return;
      this.#applied = stage;
      if (this.#state.stage !== stage) continue;
      this.#failure = null;
      if (!settled) this.#record({ kind: "settled", ...(output ? { output } : {}) });
      this.#wake();
      if (stage === "draining") void (this.#draining ??= this.#drain());
      return;
    }
  }

  async #applyMeans(stage: Stage): Promise<string> {
    const target = this.#target(stage);
    // What was set last is removed first.
    const isGoing = stage === "bound" || stage === "retired" ||
      (stage === "prepared" && this.#applied === "redirecting");
    const { means } = this.deps;
    const said: string[] = [];
    for (const each of isGoing ? means.toReversed() : means) {
      const output = await each.apply(target);
      if (output) said.push(`${each.kind}: ${output}`);
    }
    return said.join("\n");
  }

  /** Noted once for each problem, and tried again in a while, or with the next stage. */
  async #failed(error: GatewayError, stage: Stage): Promise<void> {
    const { log, clock } = this.deps;
    this.#applied = null;
    this.#failure = error;
    if (this.#state.stage === stage && this.#state.problem !== error.message) {
      log("warn", `${this.#name}: ${error.message}`);
      try {
        this.#record({ kind: "failed", problem: error.message });
      } catch (failure) {
        log("error", `${this.#name}: ${toGatewayError(failure).message}`);
      }
    }
    this.#wake();
    await clock.sleep(RETRY_MS, this.#waiting.signal).catch(() => {});
  }

  /** What stood is gone by itself: it is set again. */
  #broken(problem: string): void {
    if (this.#letGo.signal.aborted) return;
    this.deps.log("warn", `${this.#name}: ${problem}`);
    this.#applied = null;
    this.#record({ kind: "failed", problem });
    this.start();
  }

  /** Asks until the machine answers, or has not for too long since it runs at the new site. */
  #await(isFromPause: boolean): void {
    this.#awaiting?.abort();
    const awaiting = this.#awaiting = new AbortController();
    const signal = AbortSignal.any([awaiting.signal, this.#letGo.signal]);
    const { clock, reach, log } = this.deps;
    const { reachMs } = this.subject.settings;
    const limit = this.#arrived.promise.then(() => clock.sleep(reachMs, signal)).catch(() => {});
    this.#isAwaited = true;
    void reach.wait(limit, signal).then((seen) => {
      if (this.#awaiting === awaiting) this.#isAwaited = false;
      if (seen === null || signal.aborted) return;
      const { waitedMs, reached, missing } = seen;
      if (reached) {
        this.#record({ kind: "reached", blackoutMs: isFromPause ? waitedMs : null });
      } else {
        log("warn", `${this.#name}: not reached: ${missing.join(", ")}`);
        // Only the old site knows what answered before: others may be closed for good.
        const asks = this.subject.side === "old";
        this.#record({ kind: "unreached", waitedMs, missing, asks });
      }
    }).catch((error) => log("error", `${this.#name}: ${error.stack ?? error}`));
  }

  /** Until no old flow is left, or the limit is reached. */
  async #drain(): Promise<void> {
    const { clock } = this.deps;
    const { settings, side } = this.subject;
    const { idleMs, limitMs } = settings.drain;
    const retire = (reason: string) => {
      if (this.#state.stage === "draining") this.write({ kind: "retiring", reason });
    };
    if (carryingKind(settings) === null || (this.isHome && side === "new")) {
      return retire("nothing is carried");
    }
    const arrived = this.#events.findLast(({ kind }) => kind === "arrived")!;
    const sinceWallMs = Date.parse(arrived.at);
    let lastPackets = -1;
    let lastAtMs = clock.nowMs();
    const { signal } = this.#letGo;
    while (!signal.aborted && this.#state.stage === "draining") {
      const packets = packetsOf(await this.traffic());
      // Until it is known whether the machine is reached, and whoever is asked has answered.
      if (packets !== lastPackets || this.#isAwaited || this.#state.asks) {
        [lastPackets, lastAtMs] = [packets, clock.nowMs()];
        this.deps.changed(this);
      }
      // Who cannot count has its limit only.
      if (this.#traffic !== null && clock.nowMs() - lastAtMs >= idleMs) {
        return retire(`no packet for ${idleMs} ms`);
      }
      if (limitMs !== null && clock.wallMs() - sinceWallMs >= limitMs) {
        return retire(`${limitMs} ms have passed since the move`);
      }
      await clock.sleep(Math.min(LOOK_MS_MAX, idleMs / 4), signal).catch(() => {});
    }
  }

  #remembered(means: number): unknown {
    const last = this.#events.findLast((each) =>
      each.kind === "remembered" && each.means === means
    );
    return last?.kind === "remembered" ? last.value : null;
  }

  #record(event: RedirectEvent): void {
    const next = nextRedirectState(this.#state, event);
    this.#events.push(this.deps.record(event));
    this.#state = next;
    if (event.kind !== "failed") this.#failure = null;
    this.deps.changed(this);
  }

  #target(stage: Stage, previous = this.#applied): Target {
    const { site, isHome } = this.deps;
    return { ...this.subject, site, stage, previous, isHome };
  }

  #wake(): void {
    for (const resolve of this.#waiters.splice(0)) resolve();
  }

  get #name(): string {
    const { guest, side, migration } = this.subject;
    return `redirect of ${guest} (${side} site, ${migration})`;
  }

  /** True once this process has seen the rules to be what the stage says; after the end, for good. */
  get isSettled(): boolean {
    return this.hasEnded || (this.#state.settled && this.#applied === this.#state.stage);
  }

  get hasEnded(): boolean {
    return redirectEnded(this.#state);
  }

  get isRedirected(): boolean {
    return isRedirected(this.#state.stage);
  }
}

function packetsOf(traffic: Traffic | null): number {
  return (traffic?.addresses ?? []).reduce(
    (sum, each) => sum + each.toMachinePackets + each.fromMachinePackets,
    0,
  );
}
