import { type GatewayError, toGatewayError } from "../../core/errors.ts";
import type { Finding, GuestDescription, MoveOptions } from "../../guest/guest.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { encodeMessage, type ToDestination, type ToSource } from "../messages.ts";
import type { OwnershipRecord } from "../ports.ts";
import { onlyLedger, persistently } from "../persistently.ts";
import type { StoredError } from "../source/state.ts";
import type { DestinationActorDeps } from "./deps.ts";
import { FrameApplier } from "./frames.ts";
import { MoveNames, sendOffer } from "./names.ts";
import { insist } from "./insist.ts";
import * as refusals from "./refusals.ts";
import { destinationEnded, type DestinationState } from "./state.ts";

export type { DestinationActorDeps } from "./deps.ts";

/**
 * The destination end of one migration (design, section 3). It acts on the source's messages and on
 * the frames of the memory and disk channels; each decision is in the journal before its effect.
 */
export class DestinationActor {
  #control: Channel;
  #memory: Channel | null = null;
  /** A cancel by the source that is being carried out: nothing is left to refuse. */
  #cancelling: Promise<void> | null = null;
  /** The machine was told of the move: before that, a move that ends leaves it as it waits. */
  #touched = false;
  #disk: Channel | null = null;
  #applier: FrameApplier | null = null;
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
          return await this.#prepare();
        case "handover":
          // Not awaited: what is applied until then arrives on other channels, and a query has to be
          // answered meanwhile.
          this.#taking ??= this.#take(message).catch((error) => this.#defect(error));
          return;
        case "cancel":
          return await this.#cancelled(message.error);
        case "query":
          return await this.#answer(message);
        case "adjudicated":
          return await this.#adjudicated(message);
        case "offer":
        case "report":
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
        if (await this.#runsUnrecorded()) return;
        // The machine's sockets died with the old process: it can never be complete.
        return await this.refuse(refusals.restartedHere());
      case "refused":
        if (await this.#runsUnrecorded()) return;
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
        journal.write({ kind: "refused", epoch, error }, this.#refusal(epoch, error));
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

  async #prepare(): Promise<void> {
    const { guest, journal, link, id } = this.deps;
    if (this.state.kind !== "accepted") return;
    this.#touched = true;
    await guest.destination.prepare(this.#moveOptions());
    if (this.state.kind !== "accepted") return;
    this.#memory = link.channel(id, "memory");
    this.#disk = link.channel(id, "disk");
    const { pages, store, log } = this.deps;
    const tell = (message: string) => log("info", `${id}: ${message}`);
    const names = store && new MoveNames(store, link.channel(id, "pageRequest"), tell);
    const applier = new FrameApplier(guest.destination, this.#source?.disks ?? [], pages, names);
    this.#applier = applier;
    this.#memory.receive((frame) => this.#applying(() => applier.memory(frame)));
    this.#disk.receive((frame) =>
      this.#applying(async () => {
        const round = await applier.disk(frame);
        if (round === null) return;
        journal.write({ kind: "roundRecorded", round, bytes: applier.writtenBytes });
        await this.send({ type: "roundRecorded", round });
      })
    );
    const images = (this.#own?.disks ?? [])
      .flatMap((disk) => disk.readOnly || disk.path === null ? [] : [disk.path]);
    journal.write({ kind: "prepared", images });
    this.deps.changed();
    const offer = store && { bytesMax: store.bytesMax, keepsMemory: store.keepsMemory };
    await this.send({ type: "prepared", image: pages.offer, store: offer });
    if (store !== null) sendOffer(store, this.#memory);
  }

  /**
   * A frame that cannot be applied is never acknowledged, nor is any after it: its handler does not
   * return. Throwing would close the control channel too, which has to carry the refusal.
   */
  async #applying(apply: () => Promise<void>): Promise<void> {
    try {
      await apply();
    } catch (error) {
      void this.refuse(error);
      await new Promise<never>(() => {});
    }
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
      journal.write({ kind: "handoverReceived", epoch, run: handover.run });
      this.deps.changed();
      await Promise.all([
        this.#memory!.whenAppliedHere(handover.lastSequences.memory),
        this.#disk!.whenAppliedHere(handover.lastSequences.disk)
          .then(() => guest.destination.sealDisks()),
      ]);
      this.#complete = true;
      const beganMs = clock.nowMs();
      await guest.destination.load();
      this.#applier?.close();
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
    if (end) {
      await insist(this.deps, "end the incoming machine", () => guest.destination.abandon());
    }
    this.#applier?.close();
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
          journal.write({ kind: "noted", notes }, this.#refusal(query.epoch, error))
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
    await this.#stopMachine(() =>
      journal.write({ kind: "conflicted", epoch, reason: why }, ownership)
    );
  }

  /** Rule 5: a machine that runs here without an owner record is stopped and reported. */
  async #runsUnrecorded(): Promise<boolean> {
    const { guest, journal, epoch, guestId } = this.deps;
    if (await guest.runState().catch(() => null) !== "running") return false;
    await this.#stopMachine(() =>
      journal.write({
        kind: "conflicted",
        epoch,
        reason: `${guestId} was found running here without a record that it may`,
      })
    );
    return true;
  }

  /** Stops the machine, however often that takes, then writes down why. Nothing is deleted. */
  async #stopMachine(record: () => void): Promise<void> {
    const { guest, log, id } = this.deps;
    await this.#starting;
    await insist(this.deps, "stop the machine", async () => {
      if (await guest.runState() === "running") await guest.source.pause();
    });
    await this.#recorded(record);
    const { state } = this;
    const reason = state.kind === "conflict" ? state.reason : state.kind;
    log("error", `${id}: conflict: ${reason}; the machine is stopped here, nothing is deleted`);
    this.deps.changed();
  }

  /** Nobody owns what was refused; the epoch is used up all the same. */
  #refusal(epoch: number, { message: reason }: StoredError): Omit<OwnershipRecord, "decidedAt"> {
    const { guestId, id: migrationId } = this.deps;
    return { guestId, epoch, owner: null, migrationId, decidedBy: "refusal", reason };
  }

  #machineGone(): void {
    if (
      this.state.kind !== "accepted" && this.state.kind !== "receiving" &&
      this.state.kind !== "taking"
    ) {
      return;
    }
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
