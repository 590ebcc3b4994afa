import type { Action, Convergence, Tick } from "./action.ts";
import { type Estimate, Estimator } from "./estimate.ts";
import type { Measurement } from "./measurement.ts";
import { type Moment, Moments } from "./moment.ts";
import { checkAtGate, type GateCheck } from "./gate.ts";
import { type Judgement, Outages } from "./outage.ts";
import { type Outlook, outlookOf } from "./outlook.ts";
import { Rate } from "./rate/rate.ts";
import { Remedies } from "./remedies/remedies.ts";
import { parkAction, rateAction, startAction, switchAction } from "./steps.ts";
import { statusOf, statusWithoutLink } from "./status.ts";
import { Switching, type SwitchVerdict } from "./switching.ts";
import { Tendency } from "./tendency.ts";
import type { Wishes } from "./wishes.ts";
import { whole } from "./words.ts";

/** All that one tick decides by. */
interface Scene {
  readonly measured: Measurement;
  readonly wishes: Wishes;
  readonly estimate: Estimate;
  readonly outlook: Outlook;
  readonly moment: Moment;
  /** Null before the first pass over memory is over. */
  readonly verdict: SwitchVerdict | null;
  readonly convergence: Convergence;
}

/**
 * The one controller of a move (docs/decisions/015-one-controller.md): each tick takes what is
 * measured and what the operator wishes, and returns what is to be done, and why. Pure: the same in
 * the gateway, in the simulator and in a plan. An action comes once, when something changes. Whoever
 * carries them out tells of a switch that was undone, and of an answer that was no.
 */
export class Controller {
  readonly #outages = new Outages();
  readonly #estimator = new Estimator();
  readonly #rate = new Rate();
  readonly #tendency = new Tendency();
  readonly #switching = new Switching();
  readonly #moments = new Moments();
  readonly #remedies = new Remedies();
  #judgedMs = 0;
  #wasGone = false;
  /** Asked for; until that is seen to have happened nothing else is. */
  #asked: "startMemory" | "parkMemory" | "switch" | "giveUp" | null = null;
  #isAgain = false;
  #last: Omit<Tick, "actions" | "status"> | null = null;

  /**
   * Decides by one measurement. To be called about ten times a second while the move copies or
   * holds, and not while the actions of the tick before are still being begun.
   */
  tick(measured: Measurement, wishes: Wishes): Tick {
    const judgement = this.#outages.observe(measured);
    this.#judgedMs = judgement.judgedMs;
    this.#seeWhatWasAsked(measured);
    if (judgement.link !== "there") return this.#withoutLink(measured, wishes, judgement);
    if (this.#wasGone) this.#forget();
    this.#wasGone = false;
    const actions: Action[] = [];
    const estimate = this.#estimator.observe(this.#judgedMs, measured, this.#rate.bytesPerSecond);
    const { backlog: { waitingBytes }, appliedBytesPerSecond, flow } = estimate;
    const dirtyBytesPerSecond = flow === null ? null : dirtyOf(estimate);
    const figures = { waitingBytes, appliedBytesPerSecond, dirtyBytesPerSecond };
    this.#decideRate(measured, wishes, figures, true, actions);
    const outlook = this.#outlook(measured, wishes, estimate);
    const startMs = this.#estimator.leadMs(measured, outlook.goodputBytesPerSecond);
    const verdict = estimate.isInStep
      ? this.#switching.judge(
        this.#judgedMs,
        outlook.forecast,
        outlook.budgetMs,
        outlook.usableMs,
      )
      : null;
    const convergence = this.#converge(measured, judgement, estimate, outlook);
    const moment = this.#moments.of(wishes, {
      judgedMs: this.#judgedMs,
      measured,
      isInStep: verdict !== null && (verdict.fits || convergence.verdict === "notConverging"),
      leadMs: startMs,
    });
    const scene = { measured, wishes, estimate, outlook, moment, verdict, convergence };
    if (this.#asked === null) actions.push(...this.#act(scene));
    this.#last = {
      forecast: outlook.forecast,
      isHolding: !moment.hasCome && measured.stage !== "firstRound" &&
        (verdict?.fits ?? !moment.wantsMemory),
      convergence,
      leadMs: whole(leadOf(scene, startMs)),
    };
    const status = statusOf({ ...scene, remedies: this.#remedies.status });
    return { ...this.#last, actions, status };
  }

  /**
   * The machine runs here again, and a new memory stream has begun.
   *
   * @param foundMs the pause that was found at the gate, ms of the budget; null where the switch was
   * undone for something else
   */
  switchUndone(nowMs: number, foundMs: number | null = null): void {
    this.#outages.skip(nowMs);
    this.#switching.undone(this.#judgedMs, this.#last?.forecast ?? null, foundMs);
    this.#asked = null;
    this.#isAgain = true;
    this.#forget();
  }

  /**
   * The last check, with the machine paused at its gate and the last round of its disks sent.
   *
   * @param pausedMs for which it has stood still
   */
  checkAtGate(
    measured: Measurement,
    { maxDowntimeMs }: Pick<Wishes, "maxDowntimeMs">,
    pausedMs: number,
  ): GateCheck {
    const goodput = this.#estimator.goodput(measured, this.#rate.finalBytesPerSecond);
    return checkAtGate(measured, goodput, maxDowntimeMs, pausedMs);
  }

  /** The operator's answer to the open question was no: the next remedy has its turn. */
  questionRefused(): void {
    this.#remedies.refuse();
  }

  #seeWhatWasAsked({ stage }: Measurement): void {
    const isSeen = this.#asked === "startMemory"
      ? stage === "memory"
      : this.#asked === "parkMemory" && stage !== "memory";
    if (isSeen) this.#asked = null;
  }

  /** Nothing is judged and nothing is done; but another cap that is wished comes into force. */
  #withoutLink(measured: Measurement, wishes: Wishes, judgement: Judgement): Tick {
    this.#wasGone = true;
    const actions: Action[] = [];
    const figures = { waitingBytes: 0, appliedBytesPerSecond: 0, dirtyBytesPerSecond: null };
    this.#decideRate(measured, wishes, figures, false, actions);
    this.#last ??= {
      forecast: this.#outlook(measured, wishes, null).forecast,
      isHolding: false,
      convergence: { verdict: "unknown", reason: "the link is not there", numbers: {} },
      leadMs: null,
    };
    return { ...this.#last, actions, status: statusWithoutLink(judgement, measured) };
  }

  #decideRate(
    measured: Measurement,
    { rate }: Wishes,
    figures: Omit<Parameters<Rate["decide"]>[1], "judgedMs" | "measured">,
    mayStep: boolean,
    actions: Action[],
  ): void {
    const input = { judgedMs: this.#judgedMs, measured, ...figures };
    const cap = this.#rate.decide(rate, input, mayStep);
    if (cap !== null) actions.push(rateAction(cap));
  }

  #outlook(measured: Measurement, wishes: Wishes, estimate: Estimate | null): Outlook {
    return outlookOf(measured, wishes, {
      waitingBytes: estimate?.backlog.waitingBytes ?? 0,
      forTheLinkBytes: estimate?.forTheLinkBytes ?? 0,
      goodputBytesPerSecond: this.#estimator.goodput(measured, this.#rate.finalBytesPerSecond),
      dirtyMemoryBytesPerSecond: estimate?.dirtyMemoryBytesPerSecond ?? 0,
      dirtyDiskBytesPerSecond: estimate?.dirtyDiskBytesPerSecond ?? 0,
      lossRatio: estimate?.lossRatio ?? measured.path.lossRatio,
      appliedBytesPerSecond: estimate?.appliedBytesPerSecond ?? 0,
      shortByMs: this.#switching.marginMs(this.#judgedMs),
    });
  }

  #converge(
    measured: Measurement,
    { isSlowed }: Judgement,
    estimate: Estimate,
    outlook: Outlook,
  ): Convergence {
    if (isSlowed) {
      this.#estimator.restart();
      this.#tendency.restart();
    }
    return this.#tendency.judge({
      judgedMs: this.#judgedMs,
      measured,
      isSlowed,
      isMachineSlowed: this.#remedies.isSlowing,
      estimate,
      outlook,
    });
  }

  #act(scene: Scene): Action[] {
    const { measured: { stage }, moment, verdict } = scene;
    if (stage === "firstRound") return [];
    if (stage === "disks") return moment.wantsMemory ? this.#startMemory(scene) : [];
    if (!moment.wantsMemory) return this.#parkMemory(scene);
    if (moment.isForced) return this.#switch(scene, `${moment.reason}, whatever the pause takes`);
    if (!moment.hasCome) return this.#remedies.release("the move only holds");
    const again = this.#isAgain ? this.#remedies.again() : [];
    this.#isAgain = false;
    if (verdict === null) return again;
    if (verdict.isRight) return [...again, ...this.#switch(scene, verdict.reason)];
    const actions = this.#remedies.decide(this.#remedyInput(scene));
    if (actions.some(({ kind }) => kind === "giveUp")) this.#asked = "giveUp";
    // A step is judged by what comes after it.
    if (actions.some(({ kind }) => kind.startsWith("throttle"))) this.#restart();
    return [...again, ...actions];
  }

  #startMemory({ measured, moment, outlook }: Scene): Action[] {
    this.#asked = "startMemory";
    const leadMs = this.#estimator.leadMs(measured, outlook.goodputBytesPerSecond);
    return [startAction(moment.reason, measured, outlook, leadMs)];
  }

  #parkMemory({ moment, outlook, wishes }: Scene): Action[] {
    this.#asked = "parkMemory";
    const actions = this.#remedies.release("memory is parked");
    this.#remedies.streamEnded();
    return [...actions, parkAction(moment.reason, outlook, wishes)];
  }

  #switch({ outlook, wishes, moment }: Scene, reason: string): Action[] {
    this.#asked = "switch";
    const question = this.#remedies.answered("the switch begins");
    const cap = this.#rate.decideLast(this.#judgedMs);
    return [
      ...(question === null ? [] : [question]),
      ...(cap === null ? [] : [rateAction(cap)]),
      switchAction(reason, moment.isForced, outlook, wishes),
    ];
  }

  #remedyInput({ measured, wishes, estimate, outlook, convergence }: Scene) {
    const { goodputBytesPerSecond, forecast: { budgetedMs } } = outlook;
    const { dirtyMemoryBytesPerSecond, dirtyDiskBytesPerSecond } = estimate;
    return {
      judgedMs: this.#judgedMs,
      measured,
      wishes,
      convergence,
      badForMs: this.#tendency.badForMs(this.#judgedMs),
      goodputBytesPerSecond,
      dirtyMemoryBytesPerSecond,
      dirtyDiskBytesPerSecond,
      budgetedMs,
      leastBudgetedMs: this.#switching.leastMs ?? budgetedMs,
    };
  }

  /** What was seen is of another kind than what comes: a step was taken. */
  #restart(): void {
    this.#estimator.restart();
    this.#tendency.restart();
    this.#switching.restart();
  }

  /** There was a gap, or the stream is another one. */
  #forget(): void {
    this.#restart();
    this.#estimator.forget();
  }
}

function dirtyOf(estimate: Estimate): number {
  return estimate.dirtyMemoryBytesPerSecond + estimate.dirtyDiskBytesPerSecond;
}

/** Time until memory could switch: from its start, or from now where it runs. */
function leadOf(
  { measured, estimate, outlook, convergence }: Scene,
  startMs: number,
): number | null {
  if (measured.stage !== "memory") return startMs;
  if (estimate.isInStep) return convergence.numbers.fitsInMs ?? null;
  return estimate.backlog.waitingBytes / Math.max(1, outlook.goodputBytesPerSecond) * 1000;
}
