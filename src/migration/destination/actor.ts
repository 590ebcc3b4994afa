import { type GatewayError, toGatewayError } from "../../core/errors.ts";
import type { Finding, GuestDescription, MoveOptions } from "../../guest/guest.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { encodeMessage, SEEDED, type ToDestination, type ToSource } from "../messages.ts";
import { onlyLedger, persistently } from "../persistently.ts";
import type { StoredError } from "../source/state.ts";
import { deliverVerdict, requireDecidable, type Verdict } from "./adjudicating.ts";
import type { DestinationActorDeps } from "./deps.ts";
import { stopIfUnrecorded, stopInConflict } from "./conflict.ts";
import { insist } from "./insist.ts";
import { ReceivedDisks } from "./received_disks.ts";
import { Reception } from "./reception.ts";
import * as refusals from "./refusals.ts";
import { Repairs } from "./repairs.ts";
import { Starting } from "./starting.ts";
import { destinationEnded, type DestinationState } from "./state.ts";

export type { DestinationActorDeps } from "./deps.ts";

/** As long as the source takes to be in doubt. */
const DOUBT_AFTER_SILENT_MS = 3000;

/**
 * The destination end of one migration (design, section 3). It acts on the source's messages and on
 * the frames of the memory and disk channels; each decision is in the journal before its effect.
 */
export class DestinationActor {
  #control: Channel;
  /** A cancel by the source that is being carried out: nothing is left to refuse. */
  #cancelling: Promise<void> | null = null;
  /** The source ended a seeding run: what was to be copied is here. */
  isSeeded = false;
  /** The machine was told of the move: before that, a move that ends leaves it as it waits. */
  #touched = false;
  #reception: Reception | null = null;
  readonly #repairs = new Repairs((number, sequence) => this.#askRepair(number, sequence));
  #disks: ReceivedDisks | null = null;
  #source: GuestDescription | null = null;
  #own: GuestDescription | null = null;
  #notes: Record<string, unknown> = {};
  #refusing: Promise<void> | null = null;
  #taking: Promise<void> | null = null;
  /** Why the machine that is refused cannot be seen to end. */
  #unseenEnd: string | undefined;
  readonly #starting: Starting;
  /** Every frame of the move is applied: nothing of it can be missing any more. */
  #complete = false;
  loadMs: number | null = null;

  constructor(private readonly deps: DestinationActorDeps) {
    this.#control = deps.link.channel(deps.id, "control");
    this.#starting = new Starting(deps, (message) => this.send(message));
    deps.guest.onEvent((event) => {
      if (event.kind === "log") deps.log(event.level, event.message);
      if (event.kind === "gone") this.#machineGone();
    });
  }

  get state(): DestinationState {
    return this.deps.journal.state;
  }

  get ended(): boolean {
    return destinationEnded(this.state);
  }

  /** True while this end can neither run the machine nor learn whether the source does. */
  get isInDoubt(): boolean {
    if (this.#starting.problem !== undefined) return this.state.kind === "owning";
    return this.state.kind === "taking" && !this.#complete && this.isSourceSilent;
  }

  get isSourceSilent(): boolean {
    const { link } = this.deps;
    return link.state === "down" || (link.path().silentMs ?? Infinity) > DOUBT_AFTER_SILENT_MS;
  }

  /** The machine ended as it was started here: only an operator can end this. */
  get hasLostMachine(): boolean {
    return this.#starting.problem !== undefined;
  }

  get epoch(): number {
    return this.deps.epoch;
  }

  /** The offer was checked and recorded; answers it. */
  async accept(
    source: GuestDescription,
    own: GuestDescription,
    findings: readonly Finding[],
  ): Promise<void> {
    this.#source = source;
    this.#own = own;
    await this.send({ type: "accepted", description: own, findings: [...findings] });
  }

  /** Acts on one message of the source. Never rejects: failures become a refusal. */
  async receive(message: ToDestination): Promise<void> {
    try {
      switch (message.type) {
        case "begin":
          return await this.#prepare(message.warm);
        case "handover":
          // Not awaited: what is applied until then arrives on other channels, and a query has to be
          // answered meanwhile.
          this.#taking ??= this.#take(message).catch((error) => this.#defect(error));
          return;
        case "repairing":
          return this.#repairs.heard(message.number);
        case "cancel":
          this.isSeeded = message.reason === SEEDED;
          return await this.#cancelled(message.error);
        case "query":
          return await this.#answer(message);
        case "adjudicated":
          return await this.#adjudicated(message);
        case "offer":
        case "plan":
        case "report":
        case "rollback":
          return;
      }
    } catch (error) {
      await this.refuse(error);
    }
  }

  /** After a restart of the gateway, from the replayed state: finishes or refuses, then says so. */
  async resume(notes: Record<string, unknown>): Promise<void> {
    this.#notes = notes;
    const { state } = this;
    switch (state.kind) {
      case "accepted":
      case "receiving":
      case "taking":
        if (await stopIfUnrecorded(this.deps)) return;
        // The machine's sockets died with the old process: it can never be complete.
        return await this.refuse(refusals.restartedHere());
      case "refused":
        if (await stopIfUnrecorded(this.deps)) return;
        return await this.#abandon(state.error);
      case "owning":
        return await this.#starting.run(state.run, this.loadMs);
      default:
        return;
    }
  }

  /**
   * This end gives up: writes the refusal of the epoch durably, ends the loaded machine and sees it
   * gone, then answers (rule 3f). After an owner record it is too late: that is only logged.
   */
  refuse(cause: unknown): Promise<void> {
    const { journal, id, log, epoch } = this.deps;
    const error = toGatewayError(cause).toJSON();
    const { state } = this;
    if (state.kind === "owning" || state.kind === "running" || state.kind === "conflict") {
      log("error", `${id}: after the owner record: ${error.message}`);
      return Promise.resolve();
    }
    if (this.#cancelling) return this.#cancelling;
    if (state.kind === "abandoned") return Promise.resolve();
    return this.#refusing ??= (async (): Promise<void> => {
      log("warn", `${id}: refusing: ${error.code}: ${error.message}`);
      await this.#recorded(() => {
        if (this.state.kind === "refused") return;
        journal.write({ kind: "refused", epoch, error }, refusals.record(this.deps, epoch, error));
      });
      await this.#abandon(error);
      await this.send({ type: "refused", epoch, error }).catch(() => {});
    })().catch((failure) => this.#defect(failure));
  }

  /**
   * The source's gateway restarted: the old channels are gone, and it may have forgotten this move or
   * lost its last word about it. Asks.
   */
  async reconnected(): Promise<void> {
    this.#control = this.deps.link.channel(this.deps.id, "control");
    if (!this.ended) await this.send({ type: "waiting" });
  }

  async send(message: ToSource): Promise<void> {
    await this.#control.send(FRAME_TYPES.control, encodeMessage(message));
  }

  /** @param warm the source takes an offer of memory */
  async #prepare(warm: boolean): Promise<void> {
    const { guest, journal } = this.deps;
    if (this.state.kind !== "accepted") return;
    this.#touched = true;
    const sourceDisks = this.#source?.disks ?? [];
    const disks = new ReceivedDisks(this.deps, sourceDisks, this.#own?.disks ?? []);
    // Before the machine's own access to its images may change their files.
    await Promise.all([disks.recall(), this.deps.redirect?.prepare()]);
    if (this.#cancelling || this.#refusing) return;
    await guest.destination.prepare(this.#moveOptions());
    if (this.state.kind !== "accepted") return;
    this.#disks = disks;
    const reception = this.#reception = new Reception(this.deps, {
      sourceDisks,
      disks,
      repairs: this.#repairs,
      takesWarm: warm,
      roundEnded: async (round, bytes) => {
        journal.write({ kind: "roundRecorded", round, bytes });
        await this.send({ type: "roundRecorded", round });
      },
      failed: (error) => void this.refuse(error),
    });
    journal.write({ kind: "prepared", images: disks.writtenPaths });
    this.deps.changed();
    await this.send(reception.prepared);
    reception.offer();
  }

  /** Too late once the machine is handed over: what then comes out wrong is refused. */
  async #askRepair(number: number, sequence: number): Promise<void> {
    if (this.state.kind !== "receiving") throw this.#repairs.pending;
    const { log, id } = this.deps;
    log("warn", `${id}: ${this.#repairs.pending!.message}: asking for its pages again`);
    await this.send({ type: "repair", number, sequence });
  }

  /** Rule 3 (d) and (e). */
  async #take(handover: Extract<ToDestination, { type: "handover" }>): Promise<void> {
    const { guest, journal, guestId, id, site, epoch, clock } = this.deps;
    try {
      if (this.state.kind !== "receiving") {
        return await this.#answer({
          type: "query",
          guest: guestId,
          epoch: handover.epoch,
          framesGone: false,
        });
      }
      const recorded = this.deps.ownership()?.epoch ?? 0;
      if (handover.epoch !== epoch || epoch <= recorded) {
        throw refusals.staleHandover(handover.epoch, epoch, recorded);
      }
      // It was given away before the source heard of pages that have to come again.
      if (this.#repairs.pending !== null) throw this.#repairs.pending;
      journal.write({ kind: "handoverReceived", epoch, run: handover.run });
      this.deps.changed();
      await Promise.all([
        this.#reception!.memory.whenAppliedHere(handover.lastSequences.memory),
        this.#reception!.disk.whenAppliedHere(handover.lastSequences.disk)
          .then(() => guest.destination.sealDisks()),
      ]);
      this.#complete = true;
      const beganMs = clock.nowMs();
      await guest.destination.load();
      this.loadMs = clock.nowMs() - beganMs;
      // A refusal that was written meanwhile (the source asked, its frames being gone) stands.
      if ((this.state as DestinationState).kind !== "taking") return;
      journal.write({ kind: "owned", epoch, run: handover.run }, {
        guestId,
        epoch,
        owner: site,
        migrationId: id,
        decidedBy: "handover",
        reason: "every frame applied, machine loaded",
      });
    } catch (error) {
      return await this.refuse(error);
    }
    await this.#starting.run(handover.run, this.loadMs);
    const { kind } = this.state as DestinationState;
    this.#reception?.letGoOfMemory(kind === "running" ? "departure" : null);
  }

  /** The source closed the move without a word: with no hand-over received, it keeps the machine. */
  async closedBySource(reason: string): Promise<void> {
    await this.#cancelled(refusals.closedBySource(reason)).catch((error) => this.#defect(error));
  }

  /** @param error why it ended at the source; null where its operator cancelled it */
  async #cancelled(error: StoredError | null): Promise<void> {
    const { state } = this;
    // After a hand-over a cancel can only be a late one of a source that did not hand over, and then
    // none was received: a source that wrote one never cancels.
    if (state.kind !== "accepted" && state.kind !== "receiving") return;
    if (this.#refusing) return await this.#refusing;
    await (this.#cancelling ??= this.#abandon(error, this.#touched));
  }

  /**
   * Ends the machine that was to run here and sees it gone; its disks stay for a retry or
   * `leftovers`. Repeats until then: nobody may be told before.
   *
   * @param end false where the machine was never touched: it goes on waiting for another move
   */
  async #abandon(error: StoredError | null, end = true): Promise<void> {
    const { guest, journal, site } = this.deps;
    // A batch that waits for an answer would hold up what settles the disks.
    this.#reception?.stopAsking();
    if (end) {
      if (!this.#taking) await this.#disks?.settle(this.state.kind === "refused");
      const abandon = () => guest.destination.abandon();
      await insist(this.deps, "end the incoming machine", abandon, ({ message }) => {
        this.#unseenEnd = refusals.unseenEnd(site, message);
      });
      this.#unseenEnd = undefined;
      await this.#disks?.keep();
    }
    this.#reception?.letGoOfMemory("attempt");
    await this.#recorded(() => {
      if (this.state.kind !== "abandoned") journal.write({ kind: "abandoned", error });
    });
    this.deps.changed();
  }

  /** A decision that has to be in the ledger before anything else happens; a full disk delays it. */
  #recorded(write: () => void): Promise<void> {
    const { clock, log, id } = this.deps;
    const tell = (error: GatewayError) => log("error", `${id}: ${error.message}`);
    return persistently(clock, write, onlyLedger(tell));
  }

  /** A broken invariant ends this move where it stands; it must not take other moves with it. */
  #defect(error: unknown): void {
    const { log, id } = this.deps;
    log("error", `${id}: ${error instanceof Error ? error.stack : error}`);
  }

  /** The source asks how the hand-over of an epoch ended. */
  async #answer(query: Extract<ToDestination, { type: "query" }>): Promise<void> {
    const { epoch, journal } = this.deps;
    const { state } = this;
    switch (state.kind) {
      case "running":
        return await this.send({ type: "running", epoch: state.epoch, loadMs: this.loadMs });
      case "owning":
      case "refused": {
        // Told when the machine runs, or when it is seen gone.
        const problem = this.#starting.problem ?? this.#unseenEnd;
        return await this.send({ type: "pending", epoch, problem });
      }
      case "abandoned": {
        const error = state.error ?? refusals.abandonedError();
        const notes = { ...this.#notes, refusedEpoch: query.epoch };
        await this.#recorded(() =>
          journal.write({ kind: "noted", notes }, refusals.record(this.deps, query.epoch, error))
        );
        return await this.send({ type: "refused", epoch: query.epoch, error });
      }
      case "taking":
        // Complete or on the way: it ends by itself, unless its frames can never come.
        if (this.#complete || !query.framesGone) return await this.send({ type: "pending", epoch });
        return await this.refuse(refusals.framesGone());
      case "accepted":
      case "receiving":
        // The hand-over itself was lost with the source's old process.
        if (!query.framesGone) return await this.send({ type: "pending", epoch });
        return await this.refuse(refusals.framesGone());
      case "conflict":
        return;
    }
  }

  /** Rule 4: this side stops its machine before anything else, deletes nothing and says so. */
  async #adjudicated(message: Extract<ToDestination, { type: "adjudicated" }>): Promise<void> {
    const { journal, guestId, id, site } = this.deps;
    const { state } = this;
    const { epoch, owner, by: decidedBy, reason } = message;
    const ownership = { guestId, epoch, owner, migrationId: id, decidedBy, reason };
    if (owner === site) {
      return await this.#recorded(() =>
        journal.write({ kind: "noted", notes: this.#notes }, ownership)
      );
    }
    if (state.kind !== "owning" && state.kind !== "running") {
      await this.#recorded(() => journal.write({ kind: "noted", notes: this.#notes }, ownership));
      return await this.refuse(
        refusals.adjudicatedAway(decidedBy, owner, reason),
      );
    }
    await this.#giveUp(message);
  }

  /** Stops the machine that an operator gave away. */
  async #giveUp({ epoch, owner, by: decidedBy, reason }: Verdict): Promise<void> {
    const { guestId, id: migrationId } = this.deps;
    const ownership = { guestId, epoch, owner, migrationId, decidedBy, reason };
    const why = `${decidedBy} gave the machine to ${owner}: ${reason}`;
    await this.#starting.settled;
    await stopInConflict(this.deps, { epoch, reason: why }, ownership);
  }

  /**
   * An operator of this site decides. Recorded first; what this end has to give up it gives up before
   * the source hears of it.
   *
   * @throws {GatewayError} `migration_state`, `ledger_write_failed`
   */
  adjudicate(verdict: Verdict): void {
    const { journal, guestId, id: migrationId, site } = this.deps;
    const { owner, epoch, by: decidedBy, reason } = verdict;
    requireDecidable(this.state, owner === site, this.hasLostMachine, this.deps);
    // While the machine may run here this site owns it: the record changes when it is stopped.
    const keeps = owner === site || !isHere(this.state);
    const ownership = { guestId, epoch, owner, migrationId, decidedBy, reason };
    journal.write({ kind: "adjudicated", ...verdict }, keeps ? ownership : undefined);
    this.deps.changed();
    void this.carryOut(verdict).catch((error) => this.#defect(error));
  }

  /** Does what an operator decided here, and tells the source until it knows. Idempotent. */
  async carryOut(verdict: Verdict): Promise<void> {
    const { site, guestId, journal } = this.deps;
    const { owner, by, reason } = verdict;
    if (owner !== site) {
      if (isHere(this.state)) await this.#giveUp(verdict);
      else if (this.state.kind !== "conflict") {
        await this.refuse(refusals.adjudicatedAway(by, owner, reason));
      }
    }
    const message = { type: "adjudicated" as const, guest: guestId, ...verdict };
    await deliverVerdict(this.deps, () => this.#control, message, () => {
      this.#control = this.deps.link.channel(this.deps.id, "control");
      this.deps.listen();
    });
    this.#notes = { ...this.#notes, verdictDelivered: true };
    await this.#recorded(() => journal.write({ kind: "noted", notes: this.#notes }));
    this.deps.changed();
  }

  #machineGone(): void {
    const { kind } = this.state;
    if (kind !== "accepted" && kind !== "receiving" && kind !== "taking") return;
    void this.refuse(refusals.incomingMachineGone(this.deps.guestId));
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
}

function isHere({ kind }: DestinationState): boolean {
  return kind === "owning" || kind === "running";
}
