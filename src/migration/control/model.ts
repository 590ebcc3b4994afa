import type { Action, Convergence, Question } from "./action.ts";
import { Controller } from "./controller.ts";
import type { MachineModel } from "./model/machine_model.ts";
import type { PathModel } from "./model/path_model.ts";
import { pause, type PauseEnd } from "./model/pause.ts";
import { World } from "./model/world.ts";
import type { Wishes } from "./wishes.ts";

export {
  type DiskModel,
  type MachineModel,
  machineModel,
  type WrittenSet,
} from "./model/machine_model.ts";
export { type PathModel, type PathSegment, steadyPath } from "./model/path_model.ts";

/** Ticks of a gateway, ms. */
const TICK_MS = 100;
/** First copies take many ticks in which nothing is decided: they may be longer. */
const TICK_MS_MAX = 1_000;
const COPY_TICKS = 200;
/** A move in which nothing has happened for so long, and nothing will, is over for the model; ms. */
const QUIET_MS = 60_000;
const HORIZON_MS = 4 * 3_600_000;

/** What happens to a modelled move from outside, and how long it is looked at. */
export interface RunOptions {
  readonly strategy?: "precopy" | "stop-and-copy";
  /** Changes of the wishes, each at its time. */
  readonly changes?: readonly { readonly atMs: number; readonly wishes: Partial<Wishes> }[];
  /** How an operator answers a question, and how long after it; null: nobody answers. */
  readonly answer?: { readonly afterMs: number; readonly accept: boolean } | null;
  /** The wall clock at the start. */
  readonly startWallMs?: number;
  readonly horizonMs?: number;
}

/** An action with its time since the move began. */
export type TimedAction = Action & { readonly atMs: number };

/** A whole move, as the model saw it. */
export interface ModelledMove {
  /**
   * `held`: only a hold or a window keeps the machine here. `asked`: a question is open. `waiting`:
   * it does not fit, and the operator wants to wait.
   */
  readonly end: "switched" | "held" | "gaveUp" | "asked" | "waiting";
  /** In words, the last thing that was said of the move. */
  readonly reason: string;
  readonly convergence: Convergence;
  readonly totalMs: number;
  readonly wireBytes: number;
  /** Pause in truth; null where there was none. */
  readonly downtimeMs: number | null;
  /** The part of it that the budget limits. */
  readonly budgetedMs: number | null;
  readonly predictedDowntimeMs: number | null;
  /** In force at the switch. */
  readonly budgetMs: number;
  /** The switch happened by the operator's word, whatever the pause took. */
  readonly isForced: boolean;
  readonly pause: PauseEnd | null;
  readonly undoneSwitches: number;
  readonly actions: readonly TimedAction[];
}

/**
 * A whole move in virtual time, by the same controller as in the gateway: pure, and the same for the
 * same arguments.
 *
 * @param seed any safe integer
 */
export function runMove(
  machine: MachineModel,
  path: PathModel,
  wishes: Wishes,
  seed: number,
  options: RunOptions = {},
): ModelledMove {
  return new MoveRun(machine, path, wishes, seed, options).run();
}

class MoveRun {
  readonly #world: World;
  readonly #controller = new Controller();
  readonly #actions: TimedAction[] = [];
  readonly #changes: { readonly atMs: number; readonly wishes: Partial<Wishes> }[];
  readonly #isStopped: boolean;
  #question: { readonly question: Question; readonly atMs: number } | null = null;
  #lastEventMs = 0;
  #undone = 0;
  #copyTickMs = TICK_MS;

  constructor(
    machine: MachineModel,
    private readonly path: PathModel,
    private wishes: Wishes,
    seed: number,
    private readonly options: RunOptions,
  ) {
    this.#isStopped = options.strategy === "stop-and-copy";
    const asFound = this.#isStopped ? { ...machine, isRunning: false } : machine;
    this.#world = new World(asFound, path, seed, options.startWallMs ?? Date.UTC(2024, 0, 1));
    this.#changes = (options.changes ?? []).toSorted((left, right) => left.atMs - right.atMs);
  }

  run(): ModelledMove {
    const horizonMs = this.options.horizonMs ?? HORIZON_MS;
    for (;;) {
      const world = this.#world;
      world.step(this.#tickMs());
      this.#operate();
      const tick = this.#controller.tick(world.measure(), this.wishes);
      for (const action of tick.actions) {
        this.#actions.push({ ...action, atMs: world.nowMs });
        this.#lastEventMs = world.nowMs;
        if (action.kind === "giveUp") return this.#end("gaveUp", action.reason, tick.convergence);
        if (action.kind !== "switch") this.#perform(action);
        else {
          const end = this.#switch(action);
          if (end.kind === "switched") {
            return this.#end("switched", action.reason, tick.convergence, end);
          }
        }
      }
      const isQuiet = world.nowMs - this.#lastEventMs > QUIET_MS && this.#nextMs() === Infinity &&
        !world.path.segment.isDark && world.stage !== "firstRound" &&
        tick.convergence.verdict !== "unknown";
      const isCopying = !tick.isHolding && tick.convergence.verdict === "converging";
      if (world.nowMs >= horizonMs || (isQuiet && !isCopying)) {
        const kind = this.#question !== null ? "asked" : tick.isHolding ? "held" : "waiting";
        return this.#end(kind, tick.status, tick.convergence);
      }
    }
  }

  /** What an operator does from outside. */
  #operate(): void {
    const { nowMs } = this.#world;
    while (this.#changes.length > 0 && this.#changes[0].atMs <= nowMs) {
      this.wishes = { ...this.wishes, ...this.#changes.shift()!.wishes };
      this.#lastEventMs = nowMs;
    }
    const { answer } = this.options;
    if (!this.#question || !answer || nowMs < this.#question.atMs + answer.afterMs) return;
    const { wantedDowntimeMs } = this.#question.question;
    if (answer.accept) this.wishes = { ...this.wishes, maxDowntimeMs: wantedDowntimeMs };
    else this.#controller.questionRefused();
    this.#question = null;
  }

  #perform(action: Action): void {
    const world = this.#world;
    switch (action.kind) {
      case "rate":
        world.capBytesPerSecond = action.bytesPerSecond;
        break;
      case "startMemory":
        world.startMemory();
        break;
      case "parkMemory":
        world.endStream();
        break;
      case "throttleDisks":
        world.diskCapBytesPerSecond = action.bytesPerSecond;
        break;
      case "throttleCpu":
        world.cpuShare = action.share;
        break;
      case "ask":
        this.#question = { question: action.question, atMs: world.nowMs };
        break;
      case "withdrawQuestion":
        this.#question = null;
    }
  }

  #switch(action: Action): PauseEnd {
    const world = this.#world;
    const isForced = (action.kind === "switch" && action.isForced) || !world.machine.isRunning;
    const end = pause(
      world,
      (measured, pausedMs) => this.#controller.checkAtGate(measured, this.wishes, pausedMs),
      isForced ? null : this.wishes.maxDowntimeMs,
      this.#isStopped ? 0 : null,
    );
    if (end.kind === "undone") {
      this.#undone++;
      this.#controller.switchUndone(world.nowMs, end.foundMs);
    }
    return end;
  }

  #end(
    end: ModelledMove["end"],
    reason: string,
    convergence: Convergence,
    switched: PauseEnd | null = null,
  ): ModelledMove {
    const world = this.#world;
    const { downtimeMs = null, budgetedMs = null } = switched?.kind === "switched" ? switched : {};
    const last = this.#actions.findLast(({ kind }) => kind === "switch");
    return {
      end,
      reason,
      convergence,
      totalMs: world.nowMs,
      wireBytes: world.path.sentBytes,
      downtimeMs,
      budgetedMs,
      predictedDowntimeMs: last?.numbers.predictedDowntimeMs ?? null,
      budgetMs: this.wishes.maxDowntimeMs,
      isForced: last?.kind === "switch" && (last.isForced || !world.machine.isRunning),
      pause: switched,
      undoneSwitches: this.#undone,
      actions: this.#actions,
    };
  }

  /** Longer ticks while a copy has far to go and nobody else is on the path. */
  #tickMs(): number {
    const { wishes: { rate }, path: { others } } = this;
    const world = this.#world;
    const follows = typeof rate === "object" && rate !== null && rate.policy === "fair";
    if (follows || others !== null || world.stage === "disks") return TICK_MS;
    const memory = world.memory.measure(0);
    if (memory !== null && memory.pass > 1) return TICK_MS;
    const { bytesPerSecond } = world.path.segment;
    const left = world.disks.remainingWireBytes +
      (memory === null ? 0 : world.memory.missingWireBytes);
    const leftMs = left / Math.min(bytesPerSecond, world.capBytesPerSecond ?? Infinity) * 1000;
    this.#copyTickMs = Math.min(TICK_MS_MAX, Math.max(TICK_MS, Math.round(leftMs / COPY_TICKS)));
    return this.#copyTickMs;
  }

  /** When something comes from outside; Infinity: never. */
  #nextMs(): number {
    const change = this.#changes.at(0)?.atMs ?? Infinity;
    const { answer } = this.options;
    const answered = this.#question && answer ? this.#question.atMs + answer.afterMs : Infinity;
    return Math.min(change, answered, this.#windowMs());
  }

  /** The next edge of a window. */
  #windowMs(): number {
    const { window, switchNow } = this.wishes;
    if (window === null || switchNow) return Infinity;
    const { wallMs } = this.#world.measure();
    const edges = [window.from, window.until].filter((edge) => edge !== null).map(Date.parse);
    return Math.min(Infinity, ...edges.filter((edge) => edge > wallMs));
  }
}
