import type { Clock } from "../../core/clock.ts";
import { GatewayError, toGatewayError } from "../../core/errors.ts";
import { decodeDiskBatch } from "../../codec/disk_batch.ts";
import { createMemoryDecoder, type MemoryDecoder } from "../../codec/memory_batch.ts";
import type { Finding, Guest, GuestDescription, MoveOptions } from "../../guest/guest.ts";
import type { Channel, PeerLink } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { Journal } from "../journal.ts";
import { encodeMessage, type ToDestination, type ToSource } from "../messages.ts";
import type { MigrationOptions } from "../options.ts";
import type { StoredError } from "../source/state.ts";
import { destinationEnded, type DestinationEvent, type DestinationState } from "./state.ts";

export interface DestinationActorDeps {
  readonly id: string;
  readonly site: string;
  readonly peer: string;
  readonly guestId: string;
  readonly guest: Guest;
  readonly link: PeerLink;
  readonly clock: Clock;
  readonly options: MigrationOptions;
  /** The epoch that the hand-over will carry. */
  readonly epoch: number;
  readonly journal: Journal<DestinationState, DestinationEvent>;
  readonly scratchDirectory: string;
  /** Something that the report shows has changed. */
  readonly changed: () => void;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/**
 * The destination end of one migration (design, section 3). It acts on the source's messages and on
 * the frames of the memory and disk channels; each decision is in the journal before its effect.
 */
export class DestinationActor {
  #control: Channel;
  #memory: Channel | null = null;
  #disk: Channel | null = null;
  readonly #memoryDecoder: MemoryDecoder = createMemoryDecoder();
  #source: GuestDescription | null = null;
  #writtenBytes = 0;
  #notes: Record<string, unknown> = {};
  #refusing: Promise<void> | null = null;
  #taking: Promise<void> | null = null;
  /** Every frame of the move is applied: nothing of it can be missing any more. */
  #complete = false;
  loadMs: number | null = null;

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
          this.#taking ??= this.#take(message);
          return;
        case "cancel":
          return await this.#cancelled(message.reason);
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
        // The machine's sockets died with the old process: it can never be complete.
        return await this.refuse(
          new GatewayError(
            "gateway_restarted",
            "Cannot take the machine over: the destination's gateway restarted",
            { hint: "The machine runs at the source; start the move again" },
          ),
        );
      case "refused":
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
    const { journal, guestId, id, log, epoch } = this.deps;
    const error = toGatewayError(cause).toJSON();
    const { state } = this;
    if (state.kind === "owning" || state.kind === "running" || state.kind === "conflict") {
      log("error", `${id}: after the owner record: ${error.message}`);
      return Promise.resolve();
    }
    if (state.kind === "abandoned") return Promise.resolve();
    return this.#refusing ??= (async () => {
      log("warn", `${id}: refusing: ${error.code}: ${error.message}`);
      if (state.kind !== "refused") {
        journal.write({ kind: "refused", epoch, error }, {
          guestId,
          epoch,
          owner: null,
          migrationId: id,
          decidedBy: "refusal",
          reason: error.message,
        });
      }
      await this.#abandon(error);
      await this.send({ type: "refused", epoch, error }).catch(() => {});
    })();
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
    await guest.destination.prepare(this.#moveOptions());
    if (this.state.kind !== "accepted") return;
    this.#memory = link.channel(id, "memory");
    this.#disk = link.channel(id, "disk");
    this.#memory.receive((frame) => this.#applying(() => this.#memoryFrame(frame)));
    this.#disk.receive((frame) => this.#applying(() => this.#diskFrame(frame)));
    journal.write({ kind: "prepared" });
    this.deps.changed();
    await this.send({ type: "prepared" });
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

  async #memoryFrame(frame: { type: number; payload: Uint8Array }): Promise<void> {
    const { guest } = this.deps;
    switch (frame.type) {
      case FRAME_TYPES.memoryBatch:
        return await guest.destination.writeMemory(this.#memoryDecoder.decode(frame.payload));
      case FRAME_TYPES.memoryReset:
        return await guest.destination.resetMemory();
      default:
        throw unexpectedFrame("memory", frame.type);
    }
  }

  async #diskFrame(frame: { type: number; payload: Uint8Array }): Promise<void> {
    const { guest, journal } = this.deps;
    switch (frame.type) {
      case FRAME_TYPES.diskBatch: {
        const disks = this.#source?.disks ?? [];
        const batch = decodeDiskBatch(frame.payload, disks.map(({ sizeBytes }) => sizeBytes));
        const { id } = disks[batch.disk];
        let at = 0;
        const writes: Promise<void>[] = [];
        for (const { kind, offsetBytes, lengthBytes } of batch.extents) {
          if (kind === "zero") {
            writes.push(guest.destination.zeroDisk(id, offsetBytes, lengthBytes));
          } else {
            const bytes = batch.contents.subarray(at, at += lengthBytes);
            writes.push(guest.destination.writeDisk(id, offsetBytes, bytes));
          }
        }
        // All must settle before one failure is told: no write may come after the refusal.
        const failed = (await Promise.allSettled(writes)).find(({ status }) =>
          status === "rejected"
        );
        if (failed) throw (failed as PromiseRejectedResult).reason;
        this.#writtenBytes += batch.contents.byteLength;
        return;
      }
      case FRAME_TYPES.diskRoundEnd: {
        const round = Number(JSON.parse(new TextDecoder().decode(frame.payload)).round);
        if (!Number.isSafeInteger(round) || round < 1) throw unexpectedFrame("disk", frame.type);
        await guest.destination.flushDisks();
        journal.write({ kind: "roundRecorded", round, bytes: this.#writtenBytes });
        return await this.send({ type: "roundRecorded", round });
      }
      default:
        throw unexpectedFrame("disk", frame.type);
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
      if (handover.epoch !== epoch) {
        throw new GatewayError(
          "offer_stale",
          `Cannot take the machine over: the hand-over has epoch ${handover.epoch}, expected ${epoch}`,
          { hint: "Start the move again" },
        );
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
    const { guest, journal, log, id, clock, epoch } = this.deps;
    for (let waitMs = 50; run; waitMs = Math.min(5000, waitMs * 2)) {
      try {
        await guest.destination.start();
        break;
      } catch (error) {
        const failure = toGatewayError(error);
        log("error", `${id}: cannot start the machine: ${failure.message}`);
        // It is this site's machine all the same; without its process there is nothing to repeat.
        if (failure.code === "guest_gone") break;
        await clock.sleep(waitMs);
      }
    }
    if (this.state.kind === "owning") journal.write({ kind: "started" });
    await this.send({ type: "running", epoch, loadMs: this.loadMs }).catch(() => {});
    this.deps.changed();
  }

  async #cancelled(reason: string): Promise<void> {
    const { state } = this;
    // After a hand-over a cancel can only be a late one of a source that did not hand over, and then
    // none was received: a source that wrote one never cancels.
    if (state.kind !== "accepted" && state.kind !== "receiving") return;
    await this.#abandon({
      code: "internal",
      message: `Cancelled by the source: ${reason}`,
      hint: "",
    });
  }

  /** Ends the machine that was to run here; its disks stay for a retry or `leftovers`. */
  async #abandon(error: StoredError | null): Promise<void> {
    const { guest, journal, log, id } = this.deps;
    await guest.destination.abandon().catch((cause) =>
      log("warn", `${id}: ${toGatewayError(cause).message}`)
    );
    if (this.state.kind !== "abandoned") journal.write({ kind: "abandoned", error });
    this.deps.changed();
  }

  /** The source asks how the hand-over of an epoch ended. */
  async #answer(query: Extract<ToDestination, { type: "query" }>): Promise<void> {
    const { journal, epoch } = this.deps;
    const { state } = this;
    switch (state.kind) {
      case "running":
        return await this.send({ type: "running", epoch: state.epoch, loadMs: this.loadMs });
      case "owning":
        return await this.send({ type: "pending", epoch });
      case "refused":
      case "abandoned": {
        const error = state.error ?? abandonedError();
        if (state.kind === "abandoned") await this.#recordRefusal(query.epoch, error);
        return await this.send({ type: "refused", epoch: query.epoch, error });
      }
      case "taking":
        // Complete or on the way: it ends by itself, unless its frames can never come.
        if (this.#complete || !query.framesGone) return await this.send({ type: "pending", epoch });
        return await this.refuse(framesGone());
      case "accepted":
      case "receiving":
        // The hand-over itself was lost with the source's old process.
        if (!query.framesGone) return await this.send({ type: "pending", epoch });
        return await this.refuse(framesGone());
      case "conflict":
        void journal;
        return;
    }
  }

  /** Rule 4: this side stops its machine before anything else, deletes nothing and says so. */
  async #adjudicated(message: Extract<ToDestination, { type: "adjudicated" }>): Promise<void> {
    const { guest, journal, guestId, id, site, log } = this.deps;
    const { state } = this;
    if (message.owner === site) return;
    if (state.kind !== "owning" && state.kind !== "running") {
      return await this.refuse(
        new GatewayError(
          "handover_refused",
          `Cannot take the machine over: ${message.by} gave it to ${message.owner}`,
          { hint: message.reason },
        ),
      );
    }
    await guest.source.pause().catch((error) =>
      log("error", `${id}: cannot stop the machine: ${toGatewayError(error).message}`)
    );
    const reason = `${message.by} gave the machine to ${message.owner}: ${message.reason}`;
    journal.write({ kind: "conflicted", epoch: message.epoch, reason }, {
      guestId,
      epoch: message.epoch,
      owner: message.owner,
      migrationId: id,
      decidedBy: message.by,
      reason: message.reason,
    });
    log("error", `${id}: conflict: ${reason}; the machine is stopped here, nothing is deleted`);
    this.deps.changed();
  }

  async #recordRefusal(epoch: number, error: StoredError): Promise<void> {
    const { journal, guestId, id } = this.deps;
    journal.write({ kind: "noted", notes: { ...this.#notes, refusedEpoch: epoch } }, {
      guestId,
      epoch,
      owner: null,
      migrationId: id,
      decidedBy: "refusal",
      reason: error.message,
    });
    await Promise.resolve();
  }

  #machineGone(): void {
    if (
      this.state.kind !== "accepted" && this.state.kind !== "receiving" &&
      this.state.kind !== "taking"
    ) {
      return;
    }
    void this.refuse(
      new GatewayError(
        "guest_gone",
        `Cannot go on: the incoming machine ${this.deps.guestId} ended`,
        {
          hint: "Look at its own log; register it again for a retry",
        },
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
}

function abandonedError(): StoredError {
  return {
    code: "handover_refused",
    message: "Cannot take the machine over: this move was given up here before",
    hint: "The machine runs at the source; start the move again",
  };
}

function framesGone(): GatewayError {
  return new GatewayError(
    "handover_refused",
    "Cannot take the machine over: frames are missing that the source cannot send again",
    { hint: "The machine runs at the source; start the move again" },
  );
}

function unexpectedFrame(channel: string, type: number): GatewayError {
  return new GatewayError("frame_invalid", `Cannot apply a frame of type ${type} on ${channel}`, {
    hint: "Check that both gateways run the same version",
  });
}
