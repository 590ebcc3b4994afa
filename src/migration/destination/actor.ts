import { type GatewayError, toGatewayError } from "../../core/errors.ts";
import type { Finding, GuestDescription, MoveOptions } from "../../guest/guest.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { encodeMessage, SEEDED, type ToDestination, type ToSource } from "../messages.ts";
import { onlyLedger, persistently } from "../persistently.ts";
import type { StoredError } from "../source/state.ts";
import type { DestinationActorDeps } from "./deps.ts";
import { stopIfUnrecorded, stopInConflict } from "./conflict.ts";
import { insist } from "./insist.ts";
import { ReceivedDisks } from "./received_disks.ts";
import { Reception } from "./reception.ts";
import * as refusals from "./refusals.ts";
import { Repairs } from "./repairs.ts";
import { destinationEnded, type DestinationState } from "./state.ts";

export type { DestinationActorDeps } from "./deps.ts";

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
  /** A start of the machine that is under way: nothing may be decided over its head. */
  #starting: Promise<void> = Promise.resolve();
  /** Every frame of the move is applied: nothing of it can be missing any more. */
  #complete = false;
  loadMs: number | null = null;
  #problem: string | undefined;

  constructor(private readonly deps: DestinationActorDeps) {
    this.#control = deps.link.channel(deps.id, "control");
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
        return await this.#start(state.run);
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
    await disks.recall();
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
      const recorded = this.deps.recordedEpoch();
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
    await this.#start(handover.run);
    const { kind } = this.state as DestinationState;
    this.#reception?.letGoOfMemory(kind === "running" ? "departure" : null);
  }

  /** The owner record stands: the machine runs here, however often that takes. */
  async #start(run: boolean): Promise<void> {
    const { guest, journal, epoch, clock, log, id } = this.deps;
    const start = async () => {
      // An operator's verdict that came meanwhile ends it.
      if (this.state.kind !== "owning") return;
      const starting = guest.destination.start();
      this.#starting = starting.catch(() => {});
      await starting;
    };
    try {
      if (run) {
        await persistently(clock, start, (error) => {
          if (error.code === "guest_gone") throw error;
          log("error", `${id}: cannot start the machine yet: ${error.message}`);
        });
      }
    } catch (error) {
      return await this.#lost(toGatewayError(error));
    }
    if (this.state.kind !== "owning") return;
    // Told at once: the owner record decides, the note that it has started may wait for the ledger.
    await this.send({ type: "running", epoch, loadMs: this.loadMs }).catch(() => {});
    await this.#recorded(() => {
      if (this.state.kind === "owning") journal.write({ kind: "started" });
    });
    this.deps.changed();
  }

  /**
   * The machine is gone although this site owns it. Whether it had begun to run nobody can tell, and
   * the source holds what may be the last good copy: only an operator can end this.
   */
  async #lost(error: GatewayError): Promise<void> {
    const { epoch, log, id, site } = this.deps;
    this.#problem = `${site} owns the machine, but it ended as it was started: ${error.message}. ` +
      "Adjudicate with force: to the source to run its copy";
    log("error", `${id}: ${this.#problem}`);
    await this.send({ type: "pending", epoch, problem: this.#problem }).catch(() => {});
    this.deps.changed();
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
    const { guest, journal } = this.deps;
    // A batch that waits for an answer would hold up what settles the disks.
    this.#reception?.stopAsking();
    if (end) {
      if (!this.#taking) await this.#disks?.settle(this.state.kind === "refused");
      await insist(this.deps, "end the incoming machine", () => guest.destination.abandon());
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
      case "refused":
        // Told when the machine runs, or when it is seen gone.
        return await this.send({ type: "pending", epoch, problem: this.#problem });
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
      return await this.refuse(
        refusals.adjudicatedAway(decidedBy, owner, reason),
      );
    }
    const why = `${decidedBy} gave the machine to ${owner}: ${reason}`;
    await this.#starting;
    await stopInConflict(this.deps, { epoch, reason: why }, ownership);
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
