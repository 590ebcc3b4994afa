import type { Action } from "../action.ts";
import type { Remedy } from "../wishes.ts";
import { shownTime } from "../words.ts";
import { Ask } from "./ask.ts";
import { numbersOf, PASSED, type RemedyInput, type Turn } from "./remedy.ts";
import { ThrottleCpu } from "./throttle_cpu.ts";
import { ThrottleDisks } from "./throttle_disks.ts";

/** A move is given up only after it has not converged for this long, ms. */
const GIVE_UP_MS = 20_000;
/** A question stays open until the copy has converged for this long: people read slowly; ms. */
const WITHDRAW_MS = 30_000;

/**
 * What is done about a machine that writes faster than the link carries, in the order that the
 * operator set. A remedy has its turn when those before it cannot help any more; a step of one is
 * judged by what comes after it alone.
 */
export class Remedies {
  readonly #disks = new ThrottleDisks();
  readonly #cpu = new ThrottleCpu();
  readonly #ask = new Ask();
  #convergesSinceMs: number | null = null;

  /** What is in force, in words; null where nothing is. */
  get status(): string | null {
    const parts = [
      ...(this.#ask.isOpen ? ["waiting for an answer to the budget asked for"] : []),
      ...(this.#cpu.share > 0
        ? [`processor slowed by ${Math.round(this.#cpu.share * 100)} %`]
        : []),
      ...(this.#disks.bytesPerSecond === null ? [] : ["disk writes slowed"]),
    ];
    return parts.length === 0 ? null : parts.join(", ");
  }

  /** The machine is slowed. */
  get isSlowing(): boolean {
    return this.#cpu.share > 0 || this.#disks.bytesPerSecond !== null;
  }

  /** The operator's answer to the open question was no. */
  refuse(): void {
    this.#ask.refuse();
  }

  /**
   * To be called while memory is copied and the moment has come.
   */
  decide(input: RemedyInput): Action[] {
    const actions: Action[] = [];
    const { convergence, wishes } = input;
    const push = (action: Action | null) => void (action && actions.push(action));
    if (this.#ask.isAnswered(wishes.maxDowntimeMs)) push(this.#ask.withdraw("it was answered"));
    if (this.#hasConverged(input)) push(this.#ask.withdraw(convergence.reason));
    if (wishes.whenOver.includes("throttleDisks")) push(this.#disks.ease(input));
    else push(this.#disks.lift("the operator does not want disk writes slowed"));
    if (convergence.verdict !== "notConverging") return actions;
    for (const remedy of wishes.whenOver) {
      const turn = this.#turn(remedy, input);
      if (turn.kind === "passed") continue;
      if (remedy === "giveUp" && turn.action) push(this.#disks.lift("the move ends"));
      push(turn.action);
      return actions;
    }
    return actions;
  }

  /** The moment has passed, or memory is not copied any more: the machine gets its speed back. */
  release(reason: string): Action[] {
    return [this.#ask.withdraw(reason), this.#disks.lift(reason)].filter((action) =>
      action !== null
    );
  }

  /** The question, where one is open, has no ground any more. */
  answered(reason: string): Action | null {
    return this.#ask.withdraw(reason);
  }

  /** The memory stream has ended. */
  streamEnded(): void {
    this.#cpu.forget();
  }

  /** A switch was undone: a new stream has begun, and disks have their full speed. */
  again(): Action[] {
    return [this.#disks.again(), this.#cpu.again()].filter((action) => action !== null);
  }

  #hasConverged({ convergence, judgedMs }: RemedyInput): boolean {
    if (convergence.verdict !== "converging") this.#convergesSinceMs = null;
    else this.#convergesSinceMs ??= judgedMs;
    return this.#convergesSinceMs !== null && judgedMs - this.#convergesSinceMs >= WITHDRAW_MS;
  }

  #turn(remedy: Remedy, input: RemedyInput): Turn {
    switch (remedy) {
      case "throttleDisks":
        return this.#disks.turn(input);
      case "throttleCpu":
        return this.#cpu.turn(input);
      case "ask":
        return this.#ask.turn(input);
      case "wait":
        return { kind: "acting", action: null };
      case "giveUp":
        return this.#giveUp(input);
      default:
        return PASSED;
    }
  }

  #giveUp(input: RemedyInput): Turn {
    if (input.badForMs < GIVE_UP_MS) return { kind: "acting", action: null };
    return {
      kind: "acting",
      action: {
        kind: "giveUp",
        code: "not_converging",
        reason: `given up after ${shownTime(input.badForMs)} without getting nearer: ` +
          input.convergence.reason,
        numbers: { ...numbersOf(input), badForMs: Math.round(input.badForMs) },
      },
    };
  }
}
