import { GatewayError, toGatewayError } from "../../core/errors.ts";
import type { Action, Tick } from "../control/action.ts";
import { Controller } from "../control/controller.ts";
import type { GateCheck } from "../control/gate.ts";
import type { Wishes } from "../control/wishes.ts";
import { Gauge } from "./measuring.ts";
import type { Move } from "./move.ts";

/** How often the controller decides while nothing else is waited for. */
export const TICK_MS = 100;
/** And while a disk round takes the link's time. */
const BESIDE_MS = 250;
/** QEMU may read out so much more than the cap lets through: what it writes again is dropped here. */
const READ_AHEAD = 2;
const READ_BYTES_PER_SECOND_MIN = 4 * 1024 * 1024;
/** As good as none. */
const READ_BYTES_PER_SECOND_MAX = 10_000_000_000;

/** What the procedure of a move has to do next, if anything. */
export type Turn = "startMemory" | "parkMemory" | "switch" | "forcedSwitch" | null;

/**
 * Joins the controller with one move: measures for it, carries out what it decides, and records
 * that with its reasons. What changes the course of the move is left to the procedure.
 */
export class Steering {
  readonly #gauge: Gauge;
  readonly #controller = new Controller();
  #turn: Turn = null;
  #throttledDisks = false;

  constructor(private readonly move: Move) {
    this.#gauge = new Gauge(move);
  }

  /** One tick. What it decides on the course of the move is kept for the procedure to take. */
  async tick(): Promise<void> {
    const { draft } = this.move.deps;
    const measured = await this.#gauge.measure();
    this.#hearAnswer();
    const tick = this.#controller.tick(measured, this.wishes());
    this.#show(tick);
    for (const action of tick.actions) {
      await this.#carryOut(action);
      draft.decide(...said(action));
    }
    this.move.publish(tick.actions.length > 0);
  }

  /** What the procedure has to do next; told once. */
  takeTurn(): Turn {
    const turn = this.#turn;
    this.#turn = null;
    return turn;
  }

  /** True while the controller waits for the procedure. */
  get isTurnDue(): boolean {
    return this.#turn !== null;
  }

  /** Ticks on beside work that takes the link's time: caps and questions do not wait for it. */
  async beside<T>(work: Promise<T>): Promise<T> {
    const { clock } = this.move.deps;
    const over = new AbortController();
    const ticking = async () => {
      while (!over.signal.aborted) {
        await this.tick();
        await clock.sleep(BESIDE_MS, over.signal).catch(() => {});
      }
    };
    try {
      // A failed tick is a failure of the move; the work's own outcome ends both.
      return await this.move.interrupt.race(Promise.race([work, ticking().then(() => work)]));
    } finally {
      over.abort();
    }
  }

  /**
   * A switch was begun and undone.
   *
   * @param foundMs the pause that the gate found, ms of the budget; null where that was not why
   */
  switchUndone(foundMs: number | null): void {
    this.#controller.switchUndone(this.move.deps.clock.nowMs(), foundMs);
  }

  /** The last check, with the machine at its gate and the last blocks handed to the link. */
  async checkAtGate(pausedMs: number): Promise<GateCheck> {
    const measured = await this.#gauge.measure();
    return this.#controller.checkAtGate(measured, this.wishes(), pausedMs);
  }

  wishes(): Wishes {
    const { deps: { options }, holdRequested, switchWords } = this.move;
    const { maxDowntimeMs, rate, whenOver, window, holdMemoryMs } = options;
    return {
      maxDowntimeMs,
      rate,
      whenOver,
      hold: holdRequested,
      window,
      switchNow: switchWords > 0,
      switchWords,
      holdMemoryMs,
    };
  }

  /** The machine stands still: what waited for the cap has been let through. */
  async easeDisks(): Promise<void> {
    if (!this.#throttledDisks) return;
    this.#throttledDisks = false;
    await this.move.deps.guest.source.throttleDisks(null);
    this.move.deps.draft.throttle.diskBytesPerSecond = null;
  }

  #show({ forecast, isHolding, status, leadMs, convergence }: Tick): void {
    const { draft } = this.move.deps;
    this.move.holding = isHolding;
    draft.phase = status;
    draft.forecast = forecast;
    draft.leadMs = leadMs;
    draft.convergence = convergence;
  }

  #hearAnswer(): void {
    const { answer } = this.move;
    this.move.answer = null;
    if (answer !== null && !answer.accept) this.#controller.questionRefused();
  }

  async #carryOut(action: Action): Promise<void> {
    const { move } = this;
    const { draft, guest, id, link } = move.deps;
    switch (action.kind) {
      case "startMemory":
      case "parkMemory":
        this.#turn = action.kind;
        return;
      case "switch":
        draft.predictedDowntimeMs = Math.round(draft.forecast?.downtimeMs ?? 0);
        this.#turn = action.isForced ? "forcedSwitch" : "switch";
        return;
      case "rate":
        draft.rateBytesPerSecond = action.bytesPerSecond;
        link.setMigrationRateLimit(id, action.bytesPerSecond);
        await this.followRate();
        return;
      case "throttleDisks":
        move.canThrottleDisks = await this.#slow(() =>
          guest.source.throttleDisks(action.bytesPerSecond)
        );
        this.#throttledDisks = move.canThrottleDisks && action.bytesPerSecond !== null;
        draft.throttle.diskBytesPerSecond = this.#throttledDisks ? action.bytesPerSecond : null;
        return;
      case "throttleCpu":
        move.canThrottleCpu = await this.#slow(async () =>
          await move.pump?.source.throttleCpu(action.share)
        );
        draft.throttle.cpuShare = move.canThrottleCpu ? action.share : null;
        return;
      case "ask":
        draft.ask(action.question, action.reason);
        return;
      case "withdrawQuestion":
        draft.withdrawQuestion();
        return;
      case "giveUp":
        move.interrupt.raise(
          new GatewayError(action.code, `Cannot go on: ${action.reason}`, {
            hint:
              "The machine runs at the source; give it more time, a larger budget or rate, or " +
              "let its writes be throttled",
          }),
        );
        return;
    }
  }

  /** @returns false where this machine cannot be slowed so: the next remedy has its turn then */
  async #slow(ask: () => Promise<void>): Promise<boolean> {
    try {
      await ask();
      return true;
    } catch (thrown) {
      const error = toGatewayError(thrown);
      if (error.code !== "throttle_not_possible") throw thrown;
      this.move.deps.draft.decide("pass over", error.message, {});
      return false;
    }
  }

  /** The machine's own stream is bounded by what the cap lets through. */
  async followRate(): Promise<void> {
    const { move } = this;
    const { draft } = move.deps;
    const cap = draft.rateBytesPerSecond;
    const ratio = Math.max(0.05, draft.memory.ratio);
    const bytesPerSecond = cap === null
      ? READ_BYTES_PER_SECOND_MAX
      : Math.max(READ_BYTES_PER_SECOND_MIN, Math.round(READ_AHEAD * cap / ratio));
    await move.pump?.source.setBandwidth(bytesPerSecond);
  }
}

function said(action: Action): [string, string, Record<string, number | null>] {
  return [ACTION_NAMES[action.kind], action.reason, { ...action.numbers }];
}

/** As a report's `decisions[].action` names them. */
const ACTION_NAMES: Readonly<Record<Action["kind"], string>> = {
  rate: "rate",
  startMemory: "start memory",
  parkMemory: "park memory",
  switch: "switch",
  throttleDisks: "throttle disks",
  throttleCpu: "throttle CPU",
  ask: "ask",
  withdrawQuestion: "withdraw question",
  giveUp: "give up",
};
