import type { Clock } from "../../core/clock.ts";
import { type ErrorCode, GatewayError } from "../../core/errors.ts";
import type { Guest, GuestDescription, MoveOptions } from "../../guest/guest.ts";
import type { MemoryEncoder } from "../../codec/memory_encoder.ts";
import type { Sealer } from "../../codec/sealer.ts";
import type { WarmIntake } from "../../codec/warm_intake.ts";
import type { PageMemory } from "../../image/page_memory.ts";
import type { Channel, PeerLink } from "../../link/peer_link.ts";
import { Changes } from "../changes.ts";
import { fixedCap } from "../fixed_cap.ts";
import { Interrupt } from "../interrupt.ts";
import type { Journal } from "../journal.ts";
import type { KeptAfter, KeptMemory } from "../kept_images.ts";
import type { ToSource } from "../messages.ts";
import type { MigrationOptions } from "../options.ts";
import type { ImageRecords, OwnershipRecord, RedirectPort } from "../ports.ts";
import type { MigrationReport, QuestionAnswer } from "../report.ts";
import { Courier, type Verdict } from "./courier.ts";
import type { DiskPlanner } from "./disk_planner.ts";
import type { ReportDraft } from "./draft.ts";
import type { MemoryPump } from "./memory.ts";
import type { SourceNames } from "./names.ts";
import type { SentHints } from "./sent_hints.ts";
import { SentPages } from "./sent_pages.ts";
import { RepairAsked } from "./switch_undone.ts";
import { hearVerdict } from "./verdict.ts";
import { endError, sourceEnded, type SourceEvent, type SourceState } from "./state.ts";

/** Progress is published at most this often, and sent to the peer at most every second one. */
const PUBLISH_INTERVAL_MS = 250;
const SHARE_INTERVAL_MS = 1000;
/** Entries of each list in a report that the peer is sent before the end; slow links are narrow. */
const SHARED_ENTRIES = 10;

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
  /** This site's record of the guest's owner. */
  readonly ownership: () => OwnershipRecord | null;
  readonly journal: Journal<SourceState, SourceEvent>;
  readonly draft: ReportDraft;
  readonly scratchDirectory: string;
  /** Keeps what the destination holds of the machine's memory. */
  readonly pages: PageMemory;
  /** Packs batches, for all moves of the gateway. */
  readonly sealer: Sealer;
  /** What earlier moves of the machine between both sites have left of it. */
  readonly kept: KeptMemory;
  /** Keeps what the disk images hold, from one move to the next. */
  readonly images: ImageRecords;
  /** What moves to this peer have had applied there. */
  readonly sentHints: SentHints;
  /** How the machine's addresses follow it; without it they are nobody's concern. */
  readonly redirect?: RedirectPort;
  /** Called with each new report. */
  readonly report: (report: MigrationReport) => void;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** A cancel by the operator: the one interrupt that is not a failure. */
export class Cancelled extends Error {}

/** All that was to be copied is there: the end of a move that only seeds. */
export class Seeded extends Error {}

/**
 * The working state of one move at its source, shared by the steps of the procedure (`copy.ts`,
 * `switchover.ts`, `ending.ts`). Nothing here decides who runs the machine: that is the journal's.
 */
export class Move {
  readonly interrupt = new Interrupt();
  readonly changes = new Changes();
  readonly courier: Courier;
  memoryChannel: Channel | null = null;
  diskChannel: Channel | null = null;
  /** Where the destination asks for contents whose names mean nothing to it. */
  needsChannel: Channel | null = null;
  /** What is named instead of sent; null where the destination keeps no store. */
  names: SourceNames | null = null;
  description: GuestDescription | null = null;
  pump: MemoryPump | null = null;
  /** One for all streams of the move: what the destination holds survives them. */
  encoder: MemoryEncoder | null = null;
  /** What the destination has from before, while it tells. */
  warm: WarmIntake | null = null;
  readonly sent = new SentPages();
  /** The last repair that the destination asked for; 0 for none. */
  repairNumber = 0;
  /** While the machine stands still before its hand-over: raise it to let it run on. */
  undoing: Interrupt | null = null;
  /** What the disks hold at the destination; there from `begin` on. */
  planner: DiskPlanner | null = null;
  /** The first round of the disks is over. */
  disksInStep = false;
  /** What the machine may be slowed by in this move, as far as is known. */
  canThrottleDisks = true;
  canThrottleCpu = false;
  /** Number of the last disk round. */
  round = 0;
  /** What the machine's driver asked to be remembered. */
  notes: Record<string, unknown> = {};
  wasRunning = true;
  /** Of this pause: the machine's packets lead to the other site, or wait. */
  redirected: Promise<void> = Promise.resolve();
  /** Source clock of the pause; null while the machine runs, or where it was found paused. */
  pausedAtMs: number | null = null;
  holdRequested: boolean;
  /** How often the operator, or a machine that paused itself, gave the word to switch. */
  switchWords = 0;
  /** What the operator said to the last question, until it has been taken up. */
  answer: QuestionAnswer | null = null;
  holding = false;
  /** The session that numbered this move's frames is gone: what is missing can never be sent. */
  framesGone = false;
  verdict: Verdict | null = null;
  /** An operator of the destination's site decided; it has not to be told. */
  decidedByPeer = false;
  #reportedAtMs = -Infinity;
  #sharedAtMs = -Infinity;
  readonly #unsubscribe: (() => void)[] = [];

  constructor(readonly deps: SourceActorDeps) {
    const { id, link, peer, clock, guest, options, log } = deps;
    this.holdRequested = options.hold;
    this.courier = new Courier(
      () => link.channel(id, "control"),
      peer,
      clock,
      this.changes,
      (message) => this.#refusedEarly(message),
      () => this.#askedWhetherAlive(),
      (message) => this.#repairAsked(message),
      (message) => hearVerdict(this, message),
    );
    this.#unsubscribe.push(
      link.onEvent((event) => {
        if (event.kind === "restarted") this.#peerRestarted();
        if (event.kind === "closedByPeer" && event.migrationId === id) {
          this.#peerClosed(event.reason);
        }
        this.changes.notify();
        this.publish(false);
      }),
      guest.onEvent((event) => {
        if (event.kind === "log") log(event.level, event.message);
        if (event.kind === "gone") this.#machineGone(event.guestInitiated);
        if (event.kind === "stopped") this.#machineStopped();
      }),
    );
    const cap = fixedCap(options.rate);
    if (cap !== null) link.setMigrationRateLimit(id, cap);
    link.setMigrationShare(id, options);
  }

  get state(): SourceState {
    return this.deps.journal.state;
  }

  /** What this end may still run the machine by: its epoch until a hand-over has used it up. */
  get token(): number {
    return this.deps.epoch;
  }

  report(): MigrationReport {
    const { link, draft } = this.deps;
    const wire = (channel: Channel | null) =>
      channel ? channel.wireBytes + channel.receivedWireBytes : 0;
    const memory = wire(this.memoryChannel) + wire(this.needsChannel);
    const disk = wire(this.diskChannel);
    const control = this.courier.wireBytes;
    draft.opaqueBytes = this.pump?.opaqueBytes ?? draft.opaqueBytes;
    draft.opaqueReason = this.pump?.opaqueReason ?? draft.opaqueReason;
    return draft.render(this.state, this.holding, {
      state: this.courier.problem === null ? link.state : "down",
      path: () => link.path(),
      wireBytes: { memory, disk, control, total: memory + disk + control },
    });
  }

  /** Publishes a report: at once for events (`now`), a few times a second for progress. */
  publish(now = true): void {
    const atMs = this.deps.clock.nowMs();
    if (!now && atMs - this.#reportedAtMs < PUBLISH_INTERVAL_MS) return;
    this.#reportedAtMs = atMs;
    const report = this.report();
    this.deps.report(report);
    if (this.state.kind === "preparing") return;
    if (!now && atMs - this.#sharedAtMs < SHARE_INTERVAL_MS) return;
    this.#sharedAtMs = atMs;
    const shared = sourceEnded(this.state) ? report : {
      ...report,
      decisions: report.decisions.slice(-SHARED_ENTRIES),
      rounds: report.rounds.slice(-SHARED_ENTRIES),
    };
    void this.courier.say({ type: "report", report: { ...shared } }).catch(() => {});
  }

  /** The operator wants what the machine calls free to travel as well. */
  get sendFree(): boolean {
    return this.deps.options.disable.includes("free");
  }

  /** Has to be known before memory starts: later wishes cannot add it. */
  get mayThrottleCpu(): boolean {
    return this.deps.options.whenOver.includes("throttleCpu");
  }

  moveOptions(): MoveOptions {
    const { scratchDirectory, journal } = this.deps;
    return {
      scratchDirectory,
      sendFree: this.sendFree,
      mayThrottleCpu: this.mayThrottleCpu,
      remember: (notes) => {
        this.notes = { ...this.notes, ...notes };
        journal.write({ kind: "noted", notes: this.notes });
        return Promise.resolve();
      },
    };
  }

  /** `promise`, unless the memory stream breaks or the move is interrupted first. */
  whilePumping<T>(promise: Promise<T>): Promise<T> {
    const broken = this.pump!.drained.then(() => promise);
    promise.catch(() => {});
    broken.catch(() => {});
    return this.interrupt.race(Promise.race([promise, broken]));
  }

  /**
   * Nothing is encoded any more. What is known of the memory at the destination stays for the next
   * move.
   *
   * @param after null: nothing stays
   */
  letGoOfMemory(after: KeptAfter | null): void {
    const known = this.encoder?.release() ?? this.warm?.release() ?? null;
    if (known === null) return;
    if (after === null) known.image.close();
    else this.deps.kept.keep(known, after);
  }

  /** Stops listening to link and machine. */
  unsubscribe(): void {
    this.letGoOfMemory(null);
    this.names?.settle();
    for (const stop of this.#unsubscribe) stop();
  }

  /** The destination gave up before any hand-over: its epoch is used up, the machine stays here. */
  #refusedEarly(message: Extract<ToSource, { type: "refused" }>): void {
    const { guestId, id, site, journal } = this.deps;
    const { kind } = this.state;
    if (kind !== "preparing" && kind !== "copying" && kind !== "switching") return;
    const error = errorOf(message.error);
    try {
      journal.write({ kind: "noted", notes: { ...this.notes, refusedEpoch: message.epoch } }, {
        guestId,
        epoch: message.epoch,
        owner: site,
        migrationId: id,
        decidedBy: "handover",
        reason: "the destination gave up before the hand-over",
      });
    } finally {
      this.interrupt.raise(error);
    }
  }

  /**
   * The destination takes no pages any more until they begin anew. A move that cannot do that ends;
   * one that has handed over need not, because the destination refuses what it has not got right.
   */
  #repairAsked({ number, sequence }: Extract<ToSource, { type: "repair" }>): void {
    const { strategy } = this.deps.options;
    const { kind } = this.state;
    if ((kind !== "copying" && kind !== "switching") || this.memoryChannel === null) return;
    if (strategy !== "precopy") {
      return this.interrupt.raise(
        new GatewayError("batch_mismatch", "Cannot go on: pages arrived with other contents", {
          hint: "The machine runs at the source; start the move again",
        }),
      );
    }
    this.repairNumber = number;
    this.sent.askRepair(sequence);
    this.names?.frames.memory.voidFrom(sequence);
    void this.courier.say({ type: "repairing", number }).catch(() => {});
    this.undoing?.raise(new RepairAsked());
  }

  /** A destination that missed the end of this move. */
  #askedWhetherAlive(): void {
    if (!sourceEnded(this.state)) return;
    const error = endError(this.state);
    const reason = error?.message ?? "the move has ended";
    void this.courier.say({ type: "cancel", reason, error }).catch(() => {});
  }

  #peerRestarted(): void {
    this.courier.reopen();
    this.framesGone = true;
    this.interrupt.raise(
      new GatewayError(
        "peer_restarted",
        `Cannot go on: the gateway of ${this.deps.peer} restarted`,
        {
          hint: "The machine runs at the source; start the move again",
        },
      ),
    );
  }

  /** The peer dropped this move without a word: a defect there, or it was not its to take. */
  #peerClosed(reason: string): void {
    const { id, link, peer } = this.deps;
    if (sourceEnded(this.state) || this.state.kind === "retiring") return;
    this.framesGone = true;
    if (this.state.kind === "handedOver") {
      link.closeChannels(id);
      this.courier.reopen();
      return;
    }
    this.interrupt.raise(
      new GatewayError("link_closed", `Cannot go on: ${peer} closed the move: ${reason}`, {
        hint: "Look at the log of its gateway, then start the move again",
      }),
    );
  }

  /** A machine that cannot be held pauses by itself when its memory fits: the moment is now. */
  #machineStopped(): void {
    if (this.state.kind !== "copying" || !this.pump) return;
    if (this.description?.canHoldSwitchover !== false) return;
    this.deps.draft.decide("switch", "the machine paused itself: its version cannot be held", {});
    this.switchWords++;
    this.changes.notify();
  }

  #machineGone(guestInitiated: boolean): void {
    const { kind } = this.state;
    if (kind === "handedOver" || kind === "retiring" || sourceEnded(this.state)) return;
    this.deps.draft.runState = "gone";
    this.interrupt.raise(
      new GatewayError(
        "guest_gone",
        `Cannot move ${this.deps.guestId}: it ${guestInitiated ? "powered itself off" : "ended"}`,
        { hint: guestInitiated ? "Nothing to do" : "Look at the machine's own log" },
      ),
    );
  }
}

/** An error in the form that messages carry, as one to throw. */
export function errorOf(
  error: { readonly code: string; readonly message: string; readonly hint: string },
): GatewayError {
  return new GatewayError(error.code as ErrorCode, error.message, { hint: error.hint });
}
