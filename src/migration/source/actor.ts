import { type Clock } from "../../core/clock.ts";
import { totalBytes } from "../../core/extents.ts";
import { GatewayError, toGatewayError } from "../../core/errors.ts";
import type { DiskRound, Guest, GuestDescription, MoveOptions } from "../../guest/guest.ts";
import type { Channel, LinkEvent, PeerLink } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { Changes } from "../changes.ts";
import { decideSwitch, overBudgetAtGate, predictDowntime } from "../convergence.ts";
import { Interrupt } from "../interrupt.ts";
import type { Journal } from "../journal.ts";
import type { ToSource } from "../messages.ts";
import type { MigrationOptions } from "../options.ts";
import type { MigrationReport } from "../report.ts";
import { Courier, type Verdict } from "./courier.ts";
import { sendDiskRound } from "./disks.ts";
import type { ReportDraft } from "./draft.ts";
import { MemoryPump } from "./memory.ts";
import { decideOutcome } from "./outcome.ts";
import { sourceEnded, type SourceEvent, type SourceState, type UndoneEnd } from "./state.ts";

/** How often the switch is considered and the machine asked for its progress. */
const TICK_MS = 100;
/** A disk round is worth its round trip above this backlog, or after this long. */
const ROUND_BACKLOG_BYTES = 1024 * 1024;
const ROUND_INTERVAL_MS = 1000;
/** How often the peer is asked for the end of a hand-over that is in doubt. */
const QUERY_INTERVAL_MS = 1000;
/** A link silent for the downtime budget, and at least this long, undoes a switch. */
const SWITCH_SILENCE_MS_MIN = 1000;
/** After an undone switch the next one waits, longer each time, so that it cannot flap. */
const SWITCH_RETRY_MS = 2000;
const SWITCH_RETRY_MS_MAX = 30_000;

export interface SourceActorDeps {
  readonly id: string;
  readonly site: string;
  readonly peer: string;
  readonly guestId: string;
  readonly guest: Guest;
  readonly link: PeerLink;
  readonly clock: Clock;
  readonly options: MigrationOptions;
  /** The guest's epoch when the move began; the hand-over carries the next one. */
  readonly epoch: number;
  readonly journal: Journal<SourceState, SourceEvent>;
  readonly draft: ReportDraft;
  readonly scratchDirectory: string;
  /** Called with each new report. */
  readonly report: (report: MigrationReport) => void;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/**
 * The source end of one migration (design, section 3). The procedure below reads in the order in
 * which things happen; who may run the machine is decided by the journal's events alone.
 */
export class SourceActor {
  readonly #interrupt = new Interrupt();
  readonly #changes = new Changes();
  readonly #courier: Courier;
  #memoryChannel: Channel | null = null;
  #diskChannel: Channel | null = null;
  #description: GuestDescription | null = null;
  #notes: Record<string, unknown> = {};
  #pump: MemoryPump | null = null;
  #round = 0;
  #switchRequested = false;
  #holdRequested: boolean;
  #holding = false;
  #framesGone = false;
  #pausedAtMs: number | null = null;
  #verdict: Verdict | null = null;
  #wasRunning = true;
  #reportedAtMs = -Infinity;
  readonly #unsubscribe: (() => void)[] = [];

  constructor(private readonly deps: SourceActorDeps) {
    this.#holdRequested = deps.options.hold;
    this.#courier = new Courier(
      () => deps.link.channel(deps.id, "control"),
      deps.peer,
      deps.clock,
      this.#changes,
      (message) => this.#refusedEarly(message),
      () => this.#askedWhetherAlive(),
    );
    this.#unsubscribe.push(
      deps.link.onEvent((event) => this.#linkChanged(event)),
      deps.guest.onEvent((event) => {
        if (event.kind === "log") deps.log(event.level, event.message);
        if (event.kind === "gone") this.#machineGone(event.guestInitiated);
      }),
    );
    if (deps.options.rate !== null) deps.link.setMigrationRateLimit(deps.id, deps.options.rate);
  }

  get state(): SourceState {
    return this.deps.journal.state;
  }

  get ended(): boolean {
    return sourceEnded(this.state);
  }

  report(): MigrationReport {
    const { link, draft } = this.deps;
    const wire = (channel: Channel | null) =>
      channel ? channel.wireBytes + channel.receivedWireBytes : 0;
    const memory = wire(this.#memoryChannel);
    const disk = wire(this.#diskChannel);
    const control = this.#courier.wireBytes;
    return draft.render(this.state, this.#holding, {
      state: link.state,
      path: () => link.path(),
      wireBytes: { memory, disk, control, total: memory + disk + control },
    });
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
    const description = await guest.describe();
    this.#description = description;
    draft.describe(description);
    if (description.runState !== "running" && description.runState !== "paused") {
      throw new GatewayError(
        "guest_not_source",
        `Cannot move ${guestId}: it is ${description.runState}`,
        {
          hint: "Only a running or paused machine can leave this site",
        },
      );
    }
    this.#wasRunning = description.runState === "running";
    const answer = await this.#courier.offer(
      { type: "offer", guest: guestId, epoch, options, description },
      this.#interrupt,
    );
    if (answer.type === "rejected") {
      const mine = answer.owner === null || answer.owner === site;
      if (answer.error.code === "offer_stale" && answer.epoch !== null && mine) {
        return { staleEpoch: answer.epoch };
      }
      throw errorOf(answer.error);
    }
    const findings = await guest.source.preflight(answer.description);
    draft.findings = [...findings, ...answer.findings];
    const refusal = draft.findings.find(({ severity }) => severity === "refusal");
    if (refusal) {
      await this.#courier.say({ type: "cancel", reason: refusal.message });
      throw errorOf(refusal);
    }
    return null;
  }

  /** Moves the machine. Never rejects: every end is a state. */
  async run(): Promise<void> {
    try {
      await this.#begin();
      await (this.deps.options.strategy === "stop-and-copy"
        ? this.#stopAndCopy()
        : this.#precopy());
    } catch (error) {
      await this.#fail(error);
    }
    await this.#finish();
  }

  /** Goes on after a restart of the gateway, from the replayed state. Never rejects. */
  async resume(notes: Record<string, unknown>): Promise<void> {
    this.#notes = notes;
    this.#framesGone = true;
    try {
      const { state } = this;
      if (state.kind === "handedOver" || state.kind === "retiring") {
        this.deps.draft.phase = "asking the destination how the hand-over ended";
      } else if (!sourceEnded(state) && state.kind !== "conflict") {
        if (state.kind !== "undoing") {
          const error = new GatewayError(
            "gateway_restarted",
            "Cannot go on with the move: this gateway restarted before the hand-over",
            { hint: "The machine runs here; start the move again" },
          ).toJSON();
          this.deps.journal.write({ kind: "undoBegan", end: { kind: "failed", error } });
        }
        await this.#undo();
      }
    } catch (error) {
      await this.#fail(error);
    }
    await this.#finish();
  }

  /** @throws {GatewayError} `migration_state` after the hand-over */
  cancel(): void {
    if (
      sourceEnded(this.state) || this.state.kind === "handedOver" ||
      this.state.kind === "retiring" ||
      this.state.kind === "conflict"
    ) {
      throw this.#notAllowed("cancel", "Only a move before its hand-over can be cancelled");
    }
    this.deps.draft.decide("cancel", "the operator asked for it", {});
    this.#interrupt.raise(new Cancelled());
  }

  /**
   * The gateway stops in good order: what is before its hand-over is undone now, so that nothing is
   * left to find at the next start. Resolves when the machine runs here; a doubt is left as it is.
   */
  async stop(error: GatewayError): Promise<void> {
    this.#interrupt.raise(error);
    await this.whenSettledHere();
  }

  /** Ends a hold, or switches without waiting for the forecast to fit. */
  switchover(): void {
    if (this.state.kind !== "copying" && this.state.kind !== "preparing") {
      throw this.#notAllowed("switch over", "Only a move that is copying or holding can switch");
    }
    this.deps.draft.decide("switch", "the operator asked for it", {});
    this.#switchRequested = true;
    this.#holdRequested = false;
    this.#changes.notify();
  }

  hold(): void {
    if (this.state.kind !== "copying" && this.state.kind !== "preparing") {
      throw this.#notAllowed("hold", "Only a move that is copying can be held");
    }
    this.#holdRequested = true;
    this.#switchRequested = false;
    this.#changes.notify();
  }

  change(changes: { rate?: number | null; maxDowntimeMs?: number }): void {
    if (this.ended) throw this.#notAllowed("change", "The move has ended");
    const { options, link, id, draft } = this.deps;
    if (changes.rate !== undefined) {
      options.rate = changes.rate;
      link.setMigrationRateLimit(id, changes.rate);
      draft.decide("rate", "the operator set the cap", { bytesPerSecond: changes.rate });
    }
    if (changes.maxDowntimeMs !== undefined) {
      options.maxDowntimeMs = changes.maxDowntimeMs;
      draft.decide("budget", "the operator set it", { maxDowntimeMs: changes.maxDowntimeMs });
    }
    this.#changes.notify();
    this.#publish();
  }

  /** An operator's word in a doubt or conflict; recorded with who and why before anything follows. */
  adjudicate(
    decision: { owner: "source" | "destination"; by: string; reason: string; epoch: number },
  ): void {
    const { journal, guestId, id, site, peer } = this.deps;
    if (this.state.kind !== "handedOver" && this.state.kind !== "conflict") {
      throw this.#notAllowed("adjudicate", "Only a move in doubt or conflict can be adjudicated");
    }
    journal.write({ kind: "adjudicated", ...decision }, {
      guestId,
      epoch: decision.epoch,
      owner: decision.owner === "source" ? site : peer,
      migrationId: id,
      decidedBy: decision.by,
      reason: decision.reason,
    });
    const { owner, ...verdict } = decision;
    this.#verdict = { ...verdict, owner: owner === "source" ? site : peer };
    this.#changes.notify();
  }

  /** Tells the peer an operator's verdict and notes that it knows. */
  async deliverVerdict(verdict: Verdict): Promise<void> {
    await this.#courier.deliverVerdict(this.deps.guestId, verdict);
    this.deps.journal.write({ kind: "noted", notes: { ...this.#notes, verdictDelivered: true } });
  }

  /** The offer came to nothing: lets go of link and machine, which were not touched. */
  withdraw(): void {
    for (const stop of this.#unsubscribe) stop();
    // The peer's answer may still be on its way to an offer that timed out: a late one is dropped.
    this.deps.link.closeChannels(this.deps.id);
  }

  /** Resolves when nothing is left to undo at this site: an end, or a doubt that needs the peer. */
  async whenSettledHere(): Promise<void> {
    await this.#changes.until(() =>
      this.state.kind !== "undoing" && this.state.kind !== "copying" &&
      this.state.kind !== "switching" && this.state.kind !== "preparing"
    );
  }

  // --- the procedure -------------------------------------------------------------------------

  async #begin(): Promise<void> {
    const { journal, guest, draft } = this.deps;
    this.#interrupt.check();
    journal.write({ kind: "began" });
    draft.phase = "preparing both machines";
    this.#publish();
    await this.#courier.say({ type: "begin" });
    await guest.source.begin(this.#moveOptions());
    await this.#interrupt.race(this.#changes.until(() => this.#courier.prepared));
    this.#memoryChannel = this.deps.link.channel(this.deps.id, "memory");
    this.#diskChannel = this.deps.link.channel(this.deps.id, "disk");
  }

  async #precopy(): Promise<void> {
    const { guest, draft, options, clock } = this.deps;
    draft.phase = "copying the disks";
    await this.#diskRound("disk");
    draft.phase = "copying memory";
    this.#pump = await this.#startMemory();
    let roundEndedAtMs = clock.nowMs();
    let notBeforeMs = 0;
    let retryMs = SWITCH_RETRY_MS;
    for (;;) {
      this.#interrupt.check();
      const backlog = await guest.source.dirtyDiskBytes();
      if (
        backlog > ROUND_BACKLOG_BYTES ||
        (backlog > 0 && clock.nowMs() - roundEndedAtMs > ROUND_INTERVAL_MS)
      ) {
        await this.#diskRound("disk");
        roundEndedAtMs = clock.nowMs();
      }
      const decision = decideSwitch(await this.#measure(), options.maxDowntimeMs);
      draft.predictedDowntimeMs = Math.round(decision.prediction.downtimeMs);
      this.#holding = this.#holdRequested && decision.action === "switch";
      draft.phase = this.#holding
        ? "in sync, holding"
        : this.#holdRequested
        ? "copying, will hold"
        : `copying memory: ${decision.reason}`;
      const wanted = this.#switchRequested ||
        (decision.action === "switch" && !this.#holdRequested && clock.nowMs() >= notBeforeMs);
      if (wanted) {
        draft.decide(
          "switch",
          this.#switchRequested ? "asked for; " + decision.reason : decision.reason,
          {
            ...rounded(decision.prediction),
            budgetMs: options.maxDowntimeMs,
          },
        );
        if (await this.#switch(this.#switchRequested)) return;
        notBeforeMs = clock.nowMs() + retryMs;
        retryMs = Math.min(SWITCH_RETRY_MS_MAX, retryMs * 2);
        continue;
      }
      this.#publish(false);
      await this.#tick();
    }
  }

  /** The machine is paused first; then everything is copied once. */
  async #stopAndCopy(): Promise<void> {
    const { guest, draft, journal, clock, options } = this.deps;
    journal.write({ kind: "switchBegan" });
    await guest.source.pause();
    this.#notePause(clock.nowMs());
    draft.phase = "machine paused, copying the disks";
    await this.#diskRound("disk");
    draft.phase = "machine paused, copying memory";
    this.#pump = await this.#startMemory();
    while (options.hold && this.#holdRequested) {
      this.#holding = true;
      draft.phase = "machine paused, parked";
      this.#publish(false);
      await this.#tick();
    }
    this.#holding = false;
    await this.#raceWithPump(this.#pump.source.pauseAtGate());
    await this.#giveAway();
  }

  /** @returns false where the switch was undone and the copy goes on */
  async #switch(forced: boolean): Promise<boolean> {
    const { journal, draft, options, clock } = this.deps;
    const pump = this.#pump!;
    journal.write({ kind: "switchBegan" });
    this.#holding = false;
    draft.phase = "pausing the machine";
    const { pausedAtMs } = await this.#raceWithPump(pump.source.pauseAtGate());
    this.#notePause(pausedAtMs);
    const rounds = await this.#diskRound("final");
    const remaining = predictDowntime({ ...await this.#measure(), diskDirtyBytes: 0 });
    const silentMs = this.deps.link.path().silentMs ?? 0;
    const silent = silentMs > Math.max(SWITCH_SILENCE_MS_MIN, options.maxDowntimeMs);
    const over = overBudgetAtGate(clock.nowMs() - pausedAtMs, remaining, options.maxDowntimeMs);
    if (silent || (over && !forced)) {
      const reason = silent
        ? `the link has been silent for ${Math.round(silentMs)} ms`
        : `at the gate the pause would take ${
          Math.round(clock.nowMs() - pausedAtMs + remaining.budgetedMs)
        } ms of the ${options.maxDowntimeMs} ms budget`;
      draft.decide("undo the switch", reason, rounded(remaining));
      await this.#undoSwitch(rounds, reason);
      return false;
    }
    await this.#giveAway();
    // The bitmaps end with the machine or stay with a kept one: nothing left to fetch from it.
    await Promise.all(rounds.map((round) => round.finish(true).catch(() => {})));
    return true;
  }

  /** From the gate to the outcome: rule 3 (b), (c) and (g). */
  async #giveAway(): Promise<void> {
    const { journal, epoch, options, draft, clock } = this.deps;
    const pump = this.#pump!;
    draft.phase = "sending the last pages";
    await this.#raceWithPump(Promise.all([pump.source.finish(), pump.drained]));
    this.#noteOpaque();
    const lastSequences = {
      memory: this.#memoryChannel!.lastSent,
      disk: this.#diskChannel!.lastSent,
    };
    if (options.handover === "confirmed") {
      draft.phase = "waiting until everything is applied";
      await this.#interrupt.race(Promise.all([
        this.#memoryChannel!.whenAppliedByPeer(lastSequences.memory),
        this.#diskChannel!.whenAppliedByPeer(lastSequences.disk),
      ]));
    }
    this.#interrupt.check();
    journal.write({
      kind: "handoverWritten",
      epoch: epoch + 1,
      lastSequences,
      run: this.#wasRunning,
      pausedAtWallMs: this.#pausedAtMs === null
        ? null
        : clock.wallMs() - (clock.nowMs() - this.#pausedAtMs),
    });
    // Written is sent: from here only the destination's answer decides.
    draft.phase = "handed over, waiting for the destination";
    await this.#courier.say({
      type: "handover",
      epoch: epoch + 1,
      lastSequences,
      run: this.#wasRunning,
    });
    this.#publish();
  }

  // --- its parts -----------------------------------------------------------------------------

  async #startMemory(): Promise<MemoryPump> {
    const source = await this.#interrupt.race(this.deps.guest.source.startMemory());
    this.deps.draft.beginRound("memory", this.#description?.memoryBytes ?? null);
    const pump = new MemoryPump(
      source,
      this.#memoryChannel!,
      this.deps.draft.memory,
      this.#interrupt.signal,
    );
    pump.drained.catch((error) => this.#interrupt.raise(error));
    return pump;
  }

  async #diskRound(kind: "disk" | "final"): Promise<DiskRound[]> {
    const { guest, draft, clock } = this.deps;
    const rounds = await this.#interrupt.race(guest.source.beginDiskRound());
    const number = ++this.#round;
    const planned = rounds.map((round) => ({
      id: round.diskId,
      bytes: totalBytes(round.extents, "data"),
    }));
    for (const { id, bytes } of planned) draft.diskPlanned(id, bytes, number === 1);
    const all = planned.reduce((sum, { bytes }) => sum + bytes, 0);
    const report = draft.beginRound(kind, all);
    const startedMs = clock.nowMs();
    const index = (id: string) => this.#description!.disks.findIndex((disk) => disk.id === id);
    const channel = this.#diskChannel!;
    report.sentBytes = await this.#interrupt.race(
      sendDiskRound(rounds, index, channel, draft.disk, {
        sent: (id, extents) => {
          draft.diskSent(id, extents);
          this.#publish(false);
        },
      }, this.#interrupt.signal),
    );
    if (kind === "final") {
      report.durationMs = Math.round(clock.nowMs() - startedMs);
      return rounds;
    }
    await channel.send(
      FRAME_TYPES.diskRoundEnd,
      new TextEncoder().encode(JSON.stringify({ round: number })),
    );
    await this.#interrupt.race(this.#changes.until(() => this.#courier.recordedRound >= number));
    for (const { id, bytes } of planned) draft.diskVerified(id, bytes);
    await Promise.all(rounds.map((round) => round.finish(true)));
    report.durationMs = Math.round(clock.nowMs() - startedMs);
    report.remainingBytes = await guest.source.dirtyDiskBytes();
    this.#publish(false);
    return rounds;
  }

  async #measure() {
    const { link, draft, guest } = this.deps;
    const [progress, diskDirtyBytes] = await Promise.all([
      this.#pump!.source.progress(),
      guest.source.dirtyDiskBytes(),
    ]);
    draft.noteMemory(progress);
    this.#noteOpaque();
    const path = link.path();
    return {
      memoryRemainingBytes: progress.remainingBytes,
      firstPass: progress.pass <= 1,
      parkedWireBytes: this.#memoryChannel!.unacknowledgedBytes +
        this.#diskChannel!.unacknowledgedBytes,
      diskDirtyBytes,
      memoryWireRatio: draft.memory.ratio,
      diskWireRatio: draft.disk.ratio,
      goodputBytesPerSecond: lowest(path.bottleneckBytesPerSecond, this.deps.options.rate),
      roundTripMs: path.roundTripMs,
    };
  }

  #noteOpaque(): void {
    this.deps.draft.opaqueBytes = this.#pump?.opaqueBytes ?? 0;
    this.deps.draft.opaqueReason = this.#pump?.opaqueReason ?? null;
  }

  #notePause(pausedAtMs: number): void {
    const { journal, clock, draft } = this.deps;
    this.#pausedAtMs = this.#wasRunning ? pausedAtMs : null;
    draft.runState = "paused";
    journal.write({ kind: "paused", atWallMs: clock.wallMs() - (clock.nowMs() - pausedAtMs) });
    this.#publish();
  }

  async #undoSwitch(rounds: readonly DiskRound[], reason: string): Promise<void> {
    const { journal, draft } = this.deps;
    await this.#pump!.source.cancel();
    await Promise.all(rounds.map((round) => round.finish(false)));
    draft.runState = this.#wasRunning ? "running" : "paused";
    this.#pausedAtMs = null;
    await this.#pump!.drained.catch(() => {});
    journal.write({ kind: "switchUndone", reason });
    draft.phase = "switch undone, copying again";
    this.#publish();
    await this.#memoryChannel!.send(FRAME_TYPES.memoryReset, new Uint8Array(0));
    this.#pump = await this.#startMemory();
  }

  /** Every failure before the hand-over leads here; after it only the peer's answer counts. */
  async #fail(error: unknown): Promise<void> {
    const { journal, log } = this.deps;
    if (this.state.kind === "handedOver" || this.state.kind === "retiring") {
      log("error", `${this.deps.id}: ${toGatewayError(error).message}`);
      return;
    }
    if (sourceEnded(this.state) || this.state.kind === "conflict") return;
    const end: UndoneEnd = error instanceof Cancelled
      ? { kind: "cancelled" }
      : { kind: "failed", error: toGatewayError(error).toJSON() };
    if (end.kind === "failed") {
      log("warn", `${this.deps.id}: ${end.error.code}: ${end.error.message}`);
    }
    try {
      if (this.state.kind !== "undoing") journal.write({ kind: "undoBegan", end });
    } catch (writeError) {
      // Without a ledger nothing may be decided, but giving the machine back is what an unwritten
      // ledger means anyway: no hand-over stands there.
      log("error", `${this.deps.id}: ${toGatewayError(writeError).message}`);
    }
    await this.#undo();
  }

  async #undo(): Promise<void> {
    const { guest, journal, draft, clock, log } = this.deps;
    draft.phase = "giving the machine back to this site";
    this.#interrupt.raise(new Cancelled());
    for (let waitMs = 100;; waitMs = Math.min(5000, waitMs * 2)) {
      try {
        await this.#pump?.source.cancel();
        await guest.source.restore(this.#notes, this.#moveOptions());
        break;
      } catch (error) {
        const failure = toGatewayError(error);
        log("error", `${this.deps.id}: cannot restore the machine yet: ${failure.message}`);
        if (failure.code === "guest_gone") break;
        draft.phase = `giving the machine back: ${failure.message}`;
        this.#publish();
        await clock.sleep(waitMs);
      }
    }
    const runState = await guest.runState().catch(() => "gone" as const);
    draft.runState = runState === "running" ? "running" : runState === "gone" ? "gone" : "paused";
    draft.endedAtWallMs = clock.wallMs();
    draft.phase = "ended";
    if (this.state.kind === "undoing") journal.write({ kind: "undone" });
    this.#changes.notify();
  }

  async #finish(): Promise<void> {
    const { journal, guest, draft, id, peer, options, clock, link } = this.deps;
    while (this.state.kind === "handedOver" || this.state.kind === "conflict") {
      await this.#settleOutcome();
    }
    if (this.state.kind === "undoing") await this.#undo();
    if (this.state.kind === "retiring") {
      draft.owner = peer;
      draft.epoch = this.state.epoch;
      draft.runState = this.#wasRunning ? "running" : "paused";
      draft.phase = "ending the machine at the source";
      // A machine that an operator gave away unseen may be the last good copy.
      const keep = options.keepSource || this.#verdict !== null;
      await guest.source.retire(keep).catch((error) =>
        this.deps.log("warn", `${id}: ${toGatewayError(error).message}`)
      );
      draft.endedAtWallMs = clock.wallMs();
      draft.phase = "ended";
      draft.leftovers = (this.#description?.disks ?? [])
        .flatMap((disk) => disk.readOnly || disk.path === null ? [] : [disk.path]);
      journal.write({ kind: "retired", kept: keep });
    }
    if (this.state.kind === "failed" || this.state.kind === "cancelled") {
      const reason = this.state.kind === "failed" ? this.state.error.message : "cancelled";
      await this.#courier.say({ type: "cancel", reason }).catch(() => {});
    }
    this.#publish();
    if (this.#verdict) await this.deliverVerdict(this.#verdict);
    await this.#courier.farewell();
    for (const stop of this.#unsubscribe) stop();
    link.setMigrationRateLimit(id, null);
    link.closeChannels(id);
  }

  /** Waits for what ends a hand-over: the destination's answer, or an operator. */
  async #settleOutcome(): Promise<void> {
    const { journal, clock, link, guestId, id, peer, site, draft } = this.deps;
    const downtimeMs = this.#pausedAtMs === null
      ? null
      : Math.round(clock.nowMs() - this.#pausedAtMs - (link.path().roundTripMs ?? 0) / 2);
    const decided = decideOutcome(this.state, this.#courier.outcome, downtimeMs, {
      guestId,
      migrationId: id,
      site,
      peer,
    });
    if (decided) {
      journal.write(decided.event, decided.ownership);
      if (decided.event.kind === "ranAtPeer") draft.downtimeMs = decided.event.downtimeMs;
      return;
    }
    const askedAtMs = clock.nowMs();
    await Promise.race([this.#changes.next(), this.#sleep(QUERY_INTERVAL_MS)]);
    if (this.state.kind === "handedOver" && clock.nowMs() - askedAtMs >= QUERY_INTERVAL_MS * 0.9) {
      await this.#courier.say({
        type: "query",
        guest: guestId,
        epoch: this.state.epoch,
        framesGone: this.#framesGone,
      }).catch(() => {});
    }
    this.#publish(false);
  }

  /** The destination gave up before any hand-over: its epoch is used up, the machine stays here. */
  #refusedEarly(message: Extract<ToSource, { type: "refused" }>): void {
    const { guestId, id, site, journal } = this.deps;
    const { kind } = this.state;
    if (kind !== "preparing" && kind !== "copying" && kind !== "switching") return;
    journal.write({ kind: "noted", notes: { ...this.#notes, refusedEpoch: message.epoch } }, {
      guestId,
      epoch: message.epoch,
      owner: site,
      migrationId: id,
      decidedBy: "handover",
      reason: "the destination gave up before the hand-over",
    });
    this.#interrupt.raise(errorOf(message.error));
  }

  #askedWhetherAlive(): void {
    if (!sourceEnded(this.state)) return;
    void this.#courier.say({ type: "cancel", reason: "the move has ended" }).catch(() => {});
  }

  #linkChanged(event: LinkEvent): void {
    if (event.kind === "restarted") {
      this.#courier.reopen();
      this.#framesGone = true;
      this.#interrupt.raise(
        new GatewayError(
          "peer_restarted",
          `Cannot go on: the gateway of ${this.deps.peer} restarted`,
          {
            hint: "The machine runs at the source; start the move again",
          },
        ),
      );
    }
    this.#changes.notify();
    this.#publish(false);
  }

  #machineGone(guestInitiated: boolean): void {
    if (this.state.kind === "handedOver" || this.state.kind === "retiring" || this.ended) return;
    this.deps.draft.runState = "gone";
    this.#interrupt.raise(
      new GatewayError(
        "guest_gone",
        `Cannot move ${this.deps.guestId}: it ${guestInitiated ? "powered itself off" : "ended"}`,
        { hint: guestInitiated ? "Nothing to do" : "Look at the machine's own log" },
      ),
    );
  }

  #moveOptions(): MoveOptions {
    return {
      scratchDirectory: this.deps.scratchDirectory,
      remember: (notes) => {
        this.#notes = { ...this.#notes, ...notes };
        this.deps.journal.write({ kind: "noted", notes: this.#notes });
        return Promise.resolve();
      },
    };
  }

  #raceWithPump<T>(promise: Promise<T>): Promise<T> {
    const broken = this.#pump!.drained.then(() => promise);
    promise.catch(() => {});
    broken.catch(() => {});
    return this.#interrupt.race(Promise.race([promise, broken]));
  }

  async #tick(): Promise<void> {
    await this.#interrupt.race(
      Promise.race([this.#sleep(TICK_MS), this.#changes.next()]),
    );
  }

  async #sleep(ms: number): Promise<void> {
    await this.deps.clock.sleep(ms);
  }

  /** Publishes a report: at once for events, at most a few times a second for progress. */
  #publish(now = true): void {
    const { clock } = this.deps;
    if (!now && clock.nowMs() - this.#reportedAtMs < 250) return;
    const report = this.report();
    const share = now || clock.nowMs() - this.#reportedAtMs >= 1000;
    this.#reportedAtMs = clock.nowMs();
    this.deps.report(report);
    if (share && this.state.kind !== "preparing") {
      // Reports are lossy by nature: a full link drops none of them, it only delays them.
      void this.#courier.say({
        type: "report",
        report: report as unknown as Record<string, unknown>,
      })
        .catch(() => {});
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

class Cancelled extends Error {}

function errorOf(error: { code: string; message: string; hint: string }): GatewayError {
  return new GatewayError(error.code as GatewayError["code"], error.message, { hint: error.hint });
}

function lowest(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}

function rounded(numbers: object): Record<string, number> {
  return Object.fromEntries(
    Object.entries(numbers).map(([key, value]) => [key, Math.round(value as number)]),
  );
}
