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
import {
  decodeMessage,
  encodeMessage,
  type ToDestination,
  type ToSource,
  toSource,
} from "../messages.ts";
import type { MigrationOptions } from "../options.ts";
import type { OwnershipRecord } from "../ports.ts";
import type { MigrationReport } from "../report.ts";
import { sendDiskRound } from "./disks.ts";
import type { ReportDraft } from "./draft.ts";
import { MemoryPump } from "./memory.ts";
import { sourceEnded, type SourceEvent, type SourceState, type UndoneEnd } from "./state.ts";

/** How often the switch is considered and the machine asked for its progress. */
const TICK_MS = 100;
/** A disk round is worth its round trip above this backlog, or after this long. */
const ROUND_BACKLOG_BYTES = 1024 * 1024;
const ROUND_INTERVAL_MS = 1000;
/** An offer that is not answered within this time has not reached a working peer. */
const OFFER_TIMEOUT_MS = 30_000;
/** How often the peer is asked for the end of a hand-over that is in doubt. */
const QUERY_INTERVAL_MS = 1000;
/** A link silent for the downtime budget, and at least this long, undoes a switch. */
const SWITCH_SILENCE_MS_MIN = 1000;
/** After an undone switch the next one waits, longer each time, so that it cannot flap. */
const SWITCH_RETRY_MS = 2000;
const SWITCH_RETRY_MS_MAX = 30_000;
/** How long the report of the end may take to reach the peer before its channels are closed. */
const FAREWELL_MS = 60_000;

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
  readonly #control: Channel;
  #memoryChannel: Channel | null = null;
  #diskChannel: Channel | null = null;
  #description: GuestDescription | null = null;
  #notes: Record<string, unknown> = {};
  #pump: MemoryPump | null = null;
  #round = 0;
  #recordedRound = 0;
  #prepared = false;
  #outcome: Extract<ToSource, { type: "running" | "refused" }> | null = null;
  #answer: ((message: ToSource) => void) | null = null;
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
    this.#control = deps.link.channel(deps.id, "control");
    this.#control.receive(({ payload }) => {
      this.#receive(decodeMessage(toSource, payload));
      return Promise.resolve();
    });
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
    const control = wire(this.#control);
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
    const answered = new Promise<ToSource>((resolve) => this.#answer = resolve);
    await this.#send({ type: "offer", guest: guestId, epoch, options, description });
    const answer = await this.#interrupt.race(
      Promise.race([answered, this.#timeout(OFFER_TIMEOUT_MS, "the offer was not answered")]),
    );
    this.#answer = null;
    if (answer.type === "rejected") {
      const mine = answer.owner === null || answer.owner === site;
      if (answer.error.code === "offer_stale" && answer.epoch !== null && mine) {
        return { staleEpoch: answer.epoch };
      }
      throw errorOf(answer.error);
    }
    if (answer.type !== "accepted") throw unexpected(answer.type);
    const findings = await guest.source.preflight(answer.description);
    draft.findings = [...findings, ...answer.findings];
    const refusal = draft.findings.find(({ severity }) => severity === "refusal");
    if (refusal) {
      await this.#send({ type: "cancel", reason: refusal.message });
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

  /** Tells the peer an operator's verdict, across outages and restarts, until it has applied it. */
  async deliverVerdict(verdict: Verdict): Promise<void> {
    const { guestId, journal, clock } = this.deps;
    for (let delivered = false; !delivered;) {
      try {
        await this.#send({ type: "adjudicated", guest: guestId, ...verdict });
        await this.#control.whenAppliedByPeer(this.#control.lastSent);
        delivered = true;
      } catch {
        await clock.sleep(QUERY_INTERVAL_MS);
      }
    }
    journal.write({ kind: "noted", notes: { ...this.#notes, verdictDelivered: true } });
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
    await this.#send({ type: "begin" });
    await guest.source.begin(this.#moveOptions());
    await this.#interrupt.race(this.#changes.until(() => this.#prepared));
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
    const { guest, journal, draft, options, clock } = this.deps;
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
    void guest;
    return true;
  }

  /** From the gate to the outcome: rule 3 (b), (c) and (g). */
  async #giveAway(): Promise<void> {
    const { journal, epoch, options, draft, guest, clock } = this.deps;
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
    await this.#send({ type: "handover", epoch: epoch + 1, lastSequences, run: this.#wasRunning });
    this.#publish();
    void guest;
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
    await this.#interrupt.race(this.#changes.until(() => this.#recordedRound >= number));
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
    this.#noteMemory(progress);
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

  #noteMemory(progress: Awaited<ReturnType<MemoryPump["source"]["progress"]>>): void {
    const { draft, clock } = this.deps;
    const before = draft.memoryProgress?.pass ?? 1;
    draft.memoryProgress = progress;
    this.#noteOpaque();
    const last = draft.rounds.findLast((round) => round.kind === "memory");
    if (last) last.remainingBytes = progress.remainingBytes;
    // While held a machine passes several times a second: only passes that took a while are shown.
    if (progress.pass > before && last && clock.wallMs() - Date.parse(last.startedAt) > 500) {
      last.durationMs = clock.wallMs() - Date.parse(last.startedAt);
      draft.beginRound("memory", progress.remainingBytes);
    }
    const open = draft.rounds.findLast((round) => round.kind === "memory");
    if (open) {
      const others = draft.rounds.filter((round) => round.kind === "memory" && round !== open)
        .reduce((sum, round) => sum + round.sentBytes, 0);
      open.sentBytes = Math.max(0, draft.memory.rawBytes - others);
    }
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
    const { journal, guest, draft, guestId, id, peer, options, clock, link } = this.deps;
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
      await this.#send({ type: "cancel", reason }).catch(() => {});
    }
    void guestId;
    this.#publish();
    if (this.#verdict) await this.deliverVerdict(this.#verdict);
    await this.#sayFarewell();
    for (const stop of this.#unsubscribe) stop();
    link.setMigrationRateLimit(id, null);
    link.closeChannels(id);
  }

  /** Waits for what ends a hand-over: the destination's answer, or an operator. */
  async #settleOutcome(): Promise<void> {
    const { journal, clock, link, guestId, id, peer, site, draft } = this.deps;
    const { state } = this;
    const outcome = this.#outcome;
    if (
      state.kind === "handedOver" && outcome?.type === "running" && outcome.epoch >= state.epoch
    ) {
      const downtimeMs = this.#pausedAtMs === null || !state.run
        ? null
        : Math.round(clock.nowMs() - this.#pausedAtMs - (link.path().roundTripMs ?? 0) / 2);
      draft.downtimeMs = downtimeMs;
      journal.write({ kind: "ranAtPeer", epoch: outcome.epoch, downtimeMs }, {
        ...ownership(guestId, id),
        epoch: outcome.epoch,
        owner: peer,
        reason: "the destination runs the machine",
      });
      return;
    }
    if (
      state.kind === "handedOver" && outcome?.type === "refused" && outcome.epoch >= state.epoch
    ) {
      journal.write({ kind: "refusedByPeer", epoch: outcome.epoch, error: outcome.error }, {
        ...ownership(guestId, id),
        epoch: outcome.epoch,
        owner: site,
        reason: "the destination refused durably",
      });
      return;
    }
    const askedAtMs = clock.nowMs();
    await Promise.race([this.#changes.next(), this.#sleep(QUERY_INTERVAL_MS)]);
    if (this.state.kind === "handedOver" && clock.nowMs() - askedAtMs >= QUERY_INTERVAL_MS * 0.9) {
      await this.#send({
        type: "query",
        guest: guestId,
        epoch: this.state.epoch,
        framesGone: this.#framesGone,
      }).catch(() => {});
    }
    this.#publish(false);
  }

  #receive(message: ToSource): void {
    switch (message.type) {
      case "accepted":
      case "rejected":
        this.#answer?.(message);
        break;
      case "prepared":
        this.#prepared = true;
        break;
      case "roundRecorded":
        this.#recordedRound = Math.max(this.#recordedRound, message.round);
        break;
      case "running":
        this.#outcome = message;
        break;
      case "refused":
        if (this.state.kind === "handedOver") this.#outcome = message;
        else this.#refusedEarly(message);
        break;
      case "waiting":
        if (sourceEnded(this.state)) {
          void this.#send({ type: "cancel", reason: "the move has ended" }).catch(() => {});
        }
        break;
      case "pending":
        break;
    }
    this.#changes.notify();
  }

  /** The destination gave up before any hand-over: its epoch is used up, the machine stays here. */
  #refusedEarly(message: Extract<ToSource, { type: "refused" }>): void {
    const { guestId, id, site } = this.deps;
    if (sourceEnded(this.state) || this.state.kind === "retiring") return;
    this.deps.journal.write({
      kind: "noted",
      notes: { ...this.#notes, refusedEpoch: message.epoch },
    }, {
      ...ownership(guestId, id),
      epoch: message.epoch,
      owner: site,
      reason: "the destination gave up before the hand-over",
    });
    this.#interrupt.raise(errorOf(message.error));
  }

  #linkChanged(event: LinkEvent): void {
    if (event.kind === "restarted") {
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

  async #timeout(ms: number, what: string): Promise<never> {
    await this.deps.clock.sleep(ms, this.#interrupt.signal);
    throw new GatewayError(
      "peer_unreachable",
      `Cannot reach ${this.deps.peer}: ${what} within ${ms / 1000} s`,
      {
        hint: "Check that its gateway runs, its address, and that UDP passes between both sites",
      },
    );
  }

  async #send(message: ToDestination): Promise<void> {
    await this.#control.send(FRAME_TYPES.control, encodeMessage(message));
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
      void this.#send({ type: "report", report: report as unknown as Record<string, unknown> })
        .catch(() => {});
    }
  }

  /** The peer should see the end, too; an unreachable peer asks again when it is back. */
  async #sayFarewell(): Promise<void> {
    await Promise.race([
      this.#control.whenAppliedByPeer(this.#control.lastSent).catch(() => {}),
      this.deps.clock.sleep(FAREWELL_MS),
    ]);
  }

  #notAllowed(action: string, hint: string): GatewayError {
    return new GatewayError(
      "migration_state",
      `Cannot ${action} ${this.deps.id}: it is ${this.report().state}`,
      { hint },
    );
  }
}

/** An operator's word on who runs the machine, with the site's name. */
export interface Verdict {
  readonly epoch: number;
  readonly owner: string;
  readonly by: string;
  readonly reason: string;
}

class Cancelled extends Error {}

function ownership(
  guestId: string,
  migrationId: string,
): Pick<OwnershipRecord, "guestId" | "migrationId" | "decidedBy"> {
  return { guestId, migrationId, decidedBy: "handover" };
}

function errorOf(error: { code: string; message: string; hint: string }): GatewayError {
  return new GatewayError(error.code as GatewayError["code"], error.message, { hint: error.hint });
}

function unexpected(type: string): GatewayError {
  return new GatewayError(
    "frame_invalid",
    `Cannot go on: the peer answered an offer with ${type}`,
    {
      hint: "Check that both gateways run the same version",
    },
  );
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
