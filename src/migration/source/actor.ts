import { GatewayError } from "../../core/errors.ts";
import type { Finding, GuestDescription } from "../../guest/guest.ts";
import { toOffered } from "../offered_options.ts";
import type { MigrationChanges } from "../options.ts";
import type { MigrationReport, QuestionAnswer } from "../report.ts";
import { answerQuestion } from "./answering.ts";
import { change } from "./changing.ts";
import { begin } from "./copy.ts";
import type { Verdict } from "./courier.ts";
import { deliverVerdict, fail, finish, restartedError } from "./ending.ts";
import { Cancelled, errorOf, Move, type SourceActorDeps } from "./move.ts";
import { precopy } from "./precopy.ts";
import { seed } from "./seed.ts";
import { sourceEnded, type SourceState } from "./state.ts";
import { stopAndCopy } from "./stop_and_copy.ts";

export type { SourceActorDeps } from "./move.ts";

/** How long the answer to a refused move waits for the destination to have let go of it. */
const REFUSAL_TOLD_MS = 5_000;
/**
 * The source end of one migration (design, section 3): what an operator may ask of it, and the
 * procedure in the order in which things happen. Who may run the machine is decided by the journal's
 * events alone.
 */
export class SourceActor {
  readonly #move: Move;

  constructor(private readonly deps: SourceActorDeps) {
    this.#move = new Move(deps);
  }

  get state(): SourceState {
    return this.deps.journal.state;
  }

  get ended(): boolean {
    return sourceEnded(this.state);
  }

  /** Of the guest when the move began. */
  get epoch(): number {
    return this.deps.epoch;
  }

  report(): MigrationReport {
    return this.#move.report();
  }

  /**
   * Asks the destination and compares both machines. Nothing is touched.
   *
   * @returns the local record of an epoch that the destination is ahead with, where the offer was
   * refused for that alone and this site is the recorded owner; the caller may offer again
   * @throws {GatewayError} what the destination or the preflight refused, or `peer_unreachable`
   */
  async offer(): Promise<{ staleEpoch: number } | null> {
    const { guest, guestId, options, epoch, draft, site } = this.deps;
    const { courier, interrupt } = this.#move;
    const description = await guest.describe();
    const { runState } = description;
    this.#move.description = description;
    draft.describe(description);
    if (runState !== "running" && runState !== "paused") {
      throw new GatewayError("guest_not_source", `Cannot move ${guestId}: it is ${runState}`, {
        hint: "Only a running or paused machine can leave this site",
      });
    }
    this.#move.wasRunning = runState === "running";
    const answer = await courier.offer(
      {
        type: "offer",
        guest: guestId,
        epoch,
        options: toOffered(options),
        description,
        redirect: this.deps.redirect?.offered ?? null,
      },
      interrupt,
    );
    if (answer.type === "rejected") {
      const mine = answer.owner === null || answer.owner === site;
      if (answer.error.code === "offer_stale" && answer.epoch !== null && mine) {
        return { staleEpoch: answer.epoch };
      }
      throw errorOf(answer.error);
    }
    const findings = await guest.source.preflight(answer.description, {
      sendFree: this.#move.sendFree,
      mayThrottleDisks: options.whenOver.includes("throttleDisks"),
    });
    draft.findings = [...findings, ...answer.findings, ...notHeld(description)];
    const refusal = draft.findings.find(({ severity }) => severity === "refusal");
    if (!refusal) return null;
    const { code, message: reason, hint } = refusal;
    await courier.say({ type: "cancel", reason, error: { code, message: reason, hint } });
    // Whoever is told of the refusal may change the machine there at once.
    await courier.farewell(REFUSAL_TOLD_MS);
    throw errorOf(refusal);
  }

  /** Moves the machine. Never rejects: every end is a state. */
  async run(): Promise<void> {
    try {
      await begin(this.#move);
      const { strategy } = this.deps.options;
      if (strategy === "stop-and-copy") await stopAndCopy(this.#move);
      else if (strategy === "seed") await seed(this.#move);
      else await precopy(this.#move);
    } catch (error) {
      await fail(this.#move, error);
    }
    await finish(this.#move);
  }

  /**
   * Goes on after a restart of the gateway, from the replayed state. Never rejects.
   *
   * @param notes what the machine's driver had asked to be remembered
   * @param verdict an operator's word that was given before the restart
   */
  async resume(notes: Record<string, unknown>, verdict: Verdict | null): Promise<void> {
    const { state } = this;
    const { clock, draft } = this.deps;
    this.#move.notes = notes;
    this.#move.verdict = verdict;
    this.#move.framesGone = true;
    if (state.kind === "handedOver") {
      draft.phase = "asking the destination how the hand-over ended";
      draft.runState = "paused";
      this.#move.wasRunning = state.run;
      // The monotonic clock began anew with this process: only the wall clock spans the restart.
      this.#move.pausedAtMs = state.pausedAtWallMs === null
        ? null
        : clock.nowMs() - Math.max(0, clock.wallMs() - state.pausedAtWallMs);
    } else if (state.kind !== "undoing") await fail(this.#move, restartedError());
    await finish(this.#move);
  }

  /** After a restart: only an operator's verdict is left to be told to the peer. */
  async resumeVerdict(verdict: Verdict): Promise<void> {
    this.#move.verdict = verdict;
    await deliverVerdict(this.#move);
    this.withdraw();
  }

  /** @throws {GatewayError} `migration_state` after the hand-over */
  cancel(): void {
    const { kind } = this.state;
    if (this.ended || kind === "handedOver" || kind === "retiring" || kind === "conflict") {
      throw this.#notAllowed("cancel", "Only a move before its hand-over can be cancelled");
    }
    this.deps.draft.decide("cancel", "the operator asked for it", {});
    this.#move.interrupt.raise(new Cancelled());
  }

  /**
   * The gateway stops in good order: what is before its hand-over is undone now, so that nothing is
   * left to find at the next start. Resolves when the machine runs here; a doubt is left as it is.
   */
  async stop(error: GatewayError): Promise<void> {
    this.#move.interrupt.raise(error);
    await this.whenSettledHere();
  }

  /** Ends a hold, or switches without waiting for the forecast to fit. */
  switchover(): void {
    this.#requireCopying("switch over");
    this.deps.draft.decide("switch", "the operator asked for it", {});
    this.#move.switchWords++;
    this.#move.holdRequested = false;
    this.deps.options.hold = false;
    this.#move.changes.notify();
  }

  /** Keeps the machine in sync and does not switch until told to. */
  hold(): void {
    this.#requireCopying("hold");
    this.#move.holdRequested = true;
    this.#move.switchWords = 0;
    this.deps.options.hold = true;
    this.#move.changes.notify();
  }

  /** Takes over other wishes while the move runs. @throws {GatewayError} `migration_state` */
  change(changes: MigrationChanges): void {
    if (this.ended) throw this.#notAllowed("change", "The move has ended");
    if (changes.hold !== undefined) this.#requireCopying("hold");
    change(this.#move, changes);
    this.#move.changes.notify();
    this.#move.publish();
  }

  /** Answers the open question. @throws {GatewayError} `no_question` */
  answer(answer: QuestionAnswer): void {
    answerQuestion(this.#move, answer);
    this.#move.changes.notify();
    this.#move.publish();
  }

  /** @throws {GatewayError} `migration_state` unless an operator can decide */
  requireInDoubt(): void {
    if (this.state.kind === "handedOver" || this.state.kind === "conflict") return;
    throw this.#notAllowed("adjudicate", "Only a move in doubt or conflict can be adjudicated");
  }

  /** The site's fence has made sure that the machine cannot run at the peer. */
  noteFence(
    { exitCode, durationMs, output }: {
      readonly exitCode: number | null;
      readonly durationMs: number;
      readonly output: string;
    },
  ): void {
    const said = output || "it said nothing";
    this.deps.draft.decide("fence", `the fence command: ${said}`, { exitCode, durationMs });
  }

  /** An operator's word in a doubt or conflict; recorded with who and why before anything follows. */
  adjudicate(
    decision: { owner: "source" | "destination"; by: string; reason: string; epoch: number },
  ): void {
    const { journal, guestId, id, site, peer } = this.deps;
    this.requireInDoubt();
    const { epoch, by, reason } = decision;
    const owner = decision.owner === "source" ? site : peer;
    journal.write(
      { kind: "adjudicated", ...decision },
      { guestId, epoch, owner, migrationId: id, decidedBy: by, reason },
    );
    this.#move.verdict = { epoch, by, reason, owner };
    this.#move.changes.notify();
  }

  /** Nothing more comes of this: lets go of the machine, and of the link once all is said. */
  withdraw(): void {
    this.#move.unsubscribe();
    void this.#move.courier.farewell().then(() => this.deps.link.closeChannels(this.deps.id));
  }

  /** Resolves when nothing is left to undo at this site: an end, or a doubt that needs the peer. */
  async whenSettledHere(): Promise<void> {
    const unsettled: readonly SourceState["kind"][] = [
      "preparing",
      "copying",
      "switching",
      "undoing",
    ];
    await this.#move.changes.until(() => !unsettled.includes(this.state.kind));
  }

  #requireCopying(action: string): void {
    const { kind } = this.state;
    const parked = kind === "switching" && this.#move.holding;
    if (kind !== "copying" && kind !== "preparing" && !parked) {
      throw this.#notAllowed(action, "Only a move that is copying or holding can do that");
    }
  }

  #notAllowed(action: string, hint: string): GatewayError {
    return new GatewayError(
      "migration_state",
      `Cannot ${action} ${this.deps.id}: it is ${this.report().state}`,
      { hint },
    );
  }
}

/** What an operator has to know of a machine that decides by itself when it pauses. */
export function notHeld({ canHoldSwitchover, version }: GuestDescription): Finding[] {
  if (canHoldSwitchover) return [];
  return [{
    severity: "warning",
    code: "switchover_not_held",
    message: `Version ${version} cannot be held at the switch: it pauses when its memory fits`,
    hint: "A hold keeps only the disks in sync; memory starts when the switch is asked for",
  }];
}
