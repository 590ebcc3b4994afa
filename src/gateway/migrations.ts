import type { Clock } from "../core/clock.ts";
import type { Sealer } from "../codec/sealer.ts";
import type { PageLimits } from "../image/page_memory.ts";
import { GatewayError, toGatewayError } from "../core/errors.ts";
import type { PeerLink } from "../link/peer_link.ts";
import type { Ledger, StoredMigration } from "../ledger/ledger.ts";
import { DestinationActor } from "../migration/destination/actor.ts";
import {
  destinationEnded,
  type DestinationEvent,
  nextDestinationState,
  replayDestination,
  wasWithdrawn,
} from "../migration/destination/state.ts";
import { Journal } from "../migration/journal.ts";
import type { KeptImages } from "../migration/kept_images.ts";
import type { MigrationOptions } from "../migration/options.ts";
import { type MigrationReport } from "../migration/report.ts";
import type { ImageRecords } from "../migration/ports.ts";
import { SourceActor } from "../migration/source/actor.ts";
import { ReportDraft } from "../migration/source/draft.ts";
import {
  nextSourceState,
  replaySource,
  sourceEnded,
  type SourceEvent,
} from "../migration/source/state.ts";
import { requireAdjudicable } from "./adjudication.ts";
import { Arrivals } from "./arrivals.ts";
import { ArrivingReport } from "./arriving_report.ts";
import type { GuestRegistry } from "./guests.ts";
import { pageMemory } from "./page_memory.ts";
import { isLast, keptReport, keptReports } from "./kept_reports.ts";
import { lazyGuest } from "./lazy_guest.ts";
import { whenUp } from "./link_up.ts";
import { type Arrived, auditWithdrawn, isOnlyOffered } from "./offers.ts";
import { ReportListeners } from "./report_listeners.ts";
import type { SiteContents } from "./site_contents.ts";
import { requireOwner } from "./ownership.ts";
import { optionsOf, type PastMigration, readPast, reportOfPast } from "./past.ts";
import type { PeerRegistry } from "./peers.ts";

/** Time that an orderly stop may take to give machines back; the next start does the rest. */
const STOP_TIMEOUT_MS = 10_000;

/** Time that one machine may take to be given back before the gateway's start goes on without it. */
const RESTORE_TIMEOUT_MS = 10_000;

/** How long the destination of a failed move waits for the source's report of the end. */
const LAST_REPORT_MS = 60_000;

type Running =
  | { readonly side: "source"; readonly stored: StoredMigration; readonly actor: SourceActor }
  | {
    readonly side: "destination";
    readonly stored: StoredMigration;
    readonly actor: DestinationActor;
    readonly report: ArrivingReport;
    /** The source said so; until then no move of this id exists there, and none is listed here. */
    begun: boolean;
  };

export interface MigrationManagerDeps {
  readonly site: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly guests: GuestRegistry;
  readonly peers: PeerRegistry;
  readonly scratchDirectory: string;
  readonly pages: PageLimits;
  /** What this site keeps of what peers sent, and knows of what it sent them. */
  readonly contents: SiteContents;
  readonly sealer: Sealer;
  readonly kept: KeptImages;
  readonly images: ImageRecords;
  readonly newId: () => string;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** Every migration of this site, at either end: starts, accepts, restores and reports them. */
export class MigrationManager {
  readonly #running = new Map<string, Running>();
  readonly #listeners: ReportListeners;
  /** Guests whose offer is being checked: two moves of one machine must not both get through. */
  readonly #claimed = new Set<string>();

  readonly #forgetting = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #arrivals: Arrivals;

  constructor(private readonly deps: MigrationManagerDeps) {
    this.#listeners = new ReportListeners(deps.log);
    this.#arrivals = new Arrivals({
      ...deps,
      arriving: (id) => {
        const running = this.#running.get(id);
        return running?.side === "destination" ? running : null;
      },
      isRunning: (id) => this.#running.has(id),
      claim: (guestId) => this.#claim(guestId),
      release: (guestId) => this.#claimed.delete(guestId),
      accept: (stored, guest, link, epoch) => this.#destination(stored, guest, link, epoch, []),
      begun: (id) => this.#begun(id),
      reported: (id, report) => this.#reported(id, report),
      changed: (id) => this.#destinationChanged(id),
      conflicted: (id, message) => this.#conflicted(id, message),
    });
  }

  /** The migration that a guest is part of, if it has not ended. */
  movingGuest(guestId: string): string | null {
    for (const [id, { side, stored, actor }] of this.#running) {
      if (stored.guestId !== guestId || actor.ended) continue;
      // What was stopped in a conflict waits for its operator, who must be able to remove it.
      if (side === "destination" && actor.state.kind === "conflict") continue;
      return id;
    }
    return null;
  }

  list(): MigrationReport[] {
    return this.deps.ledger.migrations().flatMap(({ id }) => {
      const running = this.#running.get(id);
      return running && this.#isOffer(running) ? [] : this.#find(id) ?? [];
    });
  }

  /** @throws {GatewayError} `migration_unknown` */
  report(id: string): MigrationReport {
    const report = this.#find(id);
    if (report) return report;
    throw new GatewayError("migration_unknown", `Cannot find migration ${id}`, {
      hint: "GET /v1/migrations lists those of this site",
    });
  }

  /**
   * Null also for an offer that was withdrawn. One that may still begin has a report: whoever asks by
   * its id has that from the source, where it has begun, and its `begin` is on the way.
   */
  #find(id: string): MigrationReport | null {
    const running = this.#running.get(id);
    if (running) {
      return running.actor.ended && this.#isOffer(running) ? null : this.#render(running);
    }
    const stored = keptReport(this.deps.ledger, id);
    if (stored && isLast(stored)) return stored;
    const past = readPast(this.deps.ledger, id, this.deps.site);
    if (!past || (stored === null && wasWithdrawn(past.destinationEvents))) return null;
    return reportOfPast(past, this.deps.site, this.deps.clock, stored);
  }

  onReport(listener: (report: MigrationReport) => void): () => void {
    return this.#listeners.add(listener);
  }

  /** The actor of a move that leaves this site. @throws `migration_unknown`, `migration_state` */
  source(id: string, action: string): SourceActor {
    const running = this.#running.get(id);
    if (running?.side === "source") return running.actor;
    const report = this.report(id);
    throw new GatewayError(
      "migration_state",
      `Cannot ${action} ${id} here: it is ${report.state}`,
      {
        hint: report.side === "destination"
          ? `Ask the gateway of ${report.from}, where the move started`
          : "The move has ended",
      },
    );
  }

  /**
   * An operator's word on who runs the machine of a move in doubt. Recorded first; the other side
   * learns it from the higher epoch.
   *
   * @throws {GatewayError} `migration_state`, `request_invalid`
   */
  adjudicate(
    id: string,
    decision: { owner: string; reason: string; force: boolean; by: string },
  ): void {
    const actor = this.source(id, "adjudicate");
    const report = actor.report();
    requireAdjudicable(report, decision, this.deps.peers.knownLink(report.to)?.state === "up");
    const epoch = (this.deps.ledger.ownership(report.guest)?.epoch ?? report.epoch) + 2;
    this.deps.ledger.audit("adjudicated", { migration: id, epoch, ...decision });
    actor.adjudicate({
      owner: decision.owner === report.from ? "source" : "destination",
      by: decision.by,
      reason: decision.reason,
      epoch,
    });
  }

  /** Notes what was deleted, so that no report names it again. */
  leftoversDeleted(id: string, paths: readonly string[]): void {
    const { ledger } = this.deps;
    ledger.append(id, { kind: "leftoversDeleted", paths } as SourceEvent);
    const report = this.report(id);
    report.leftovers = report.leftovers.filter((path) => !paths.includes(path));
    ledger.putReport(id, report);
  }

  /** Preflight and start; see `GatewayService.startMigration`. */
  async start(
    request: { guest: string; to: string; options: MigrationOptions },
  ): Promise<MigrationReport> {
    const { guests, peers, ledger, site, clock } = this.deps;
    const entry = guests.get(request.guest);
    const link = await peers.link(request.to);
    if (entry.role !== "source") {
      throw new GatewayError(
        "guest_not_source",
        `Cannot move ${request.guest}: it waits here for an incoming move`,
        {
          hint: "Start the move at the site where the machine runs",
        },
      );
    }
    requireOwner(ledger.ownership(request.guest), site, `move ${request.guest} from here`);
    this.#claim(request.guest);
    try {
      const guest = lazyGuest(
        entry.definition.kind,
        () => guests.machine(request.guest),
        await guests.machine(request.guest),
      );
      await whenUp(link, request.to, clock, () => peers.lastError(request.to));
      for (let attempt = 0;; attempt++) {
        const epoch = ledger.ownership(request.guest)?.epoch ?? 1;
        const stored = {
          id: this.deps.newId(),
          guestId: request.guest,
          side: "source" as const,
          peer: request.to,
          options: { ...request.options },
        };
        const actor = this.#sourceActor(stored, guest, link, epoch, []);
        try {
          const stale = await actor.offer();
          if (stale && attempt === 0) {
            // This site is the recorded owner there, too: only its own ledger is behind.
            ledger.claim({
              guestId: request.guest,
              epoch: stale.staleEpoch,
              owner: site,
              migrationId: null,
              decidedBy: "registration",
              reason: `${request.to} knows this epoch with ${site} as the owner`,
            });
            actor.withdraw();
            continue;
          }
          if (stale) {
            throw new GatewayError("offer_stale", `Cannot move ${request.guest}: epochs disagree`, {
              hint: "Compare GET /v1/guests at both sites",
            });
          }
        } catch (error) {
          actor.withdraw();
          ledger.audit("preflight_refused", {
            guest: request.guest,
            to: request.to,
            ...toGatewayError(error).toJSON(),
          });
          throw error;
        }
        ledger.createMigration(stored, { kind: "created", epoch, site } as SourceEvent);
        const running: Running = {
          side: "source",
          stored: { ...stored, createdAt: new Date(clock.wallMs()).toISOString() },
          actor,
        };
        this.#running.set(stored.id, running);
        this.#untilEnd(stored.id, actor.run());
        return actor.report();
      }
    } finally {
      this.#claimed.delete(request.guest);
    }
  }

  /** Watches a link for migrations that the peer starts or asks about. */
  watch(link: PeerLink): void {
    link.onNewMigration((id) => this.#arrivals.listen(link, id));
    link.onEvent((event) => {
      if (event.kind === "closedByPeer") {
        const running = this.#running.get(event.migrationId);
        if (running?.side === "destination") void running.actor.closedBySource(event.reason);
      }
      if (event.kind !== "restarted") return;
      for (const running of this.#running.values()) {
        // One that has ended here is asked all the same: the new process may have a doubt to end.
        if (running.side === "destination" && running.stored.peer === link.peerName) {
          this.#arrivals.listen(link, running.stored.id);
          void running.actor.reconnected().catch(() => {});
        }
      }
    });
  }

  /** The gateway stops in good order: moves before their hand-over are undone, and the peers told. */
  async stop(): Promise<void> {
    const error = new GatewayError(
      "gateway_restarted",
      `Cannot go on with the move: the gateway of ${this.deps.site} was stopped`,
      { hint: "The machine runs at the source; start the move again when the gateway is back" },
    );
    const open = [...this.#running.values()].filter(({ actor }) => !actor.ended);
    const undone = Promise.all(
      open.map(({ side, actor }) => side === "source" ? actor.stop(error) : actor.refuse(error)),
    );
    const waiting = new AbortController();
    this.#stopping.abort();
    await Promise.race([
      undone,
      this.deps.clock.sleep(STOP_TIMEOUT_MS, waiting.signal).catch(() => {}),
    ]);
    waiting.abort();
  }

  /**
   * First act after a restart, before link and API: machines that this site may run, run (design,
   * rule 5). What needs the peer goes on by itself once its link is up.
   */
  async restore(): Promise<void> {
    const { ledger, site } = this.deps;
    for (const { id } of ledger.migrations()) {
      const past = readPast(ledger, id, site)!;
      if (past.stored.side === "source") await this.#restoreSource(past);
      else await this.#restoreDestination(past);
    }
  }

  async #restoreSource(past: PastMigration): Promise<void> {
    const { guests, peers } = this.deps;
    const { stored, verdict } = past;
    const state = replaySource(past.sourceEvents);
    const entry = guests.find(stored.guestId);
    if (!entry || (sourceEnded(state) && !verdict)) return;
    const link = await peers.linkOrOrphan(stored.peer);
    const guest = lazyGuest(entry.definition.kind, () => guests.machine(stored.guestId));
    const actor = this.#sourceActor(stored, guest, link, past.epoch, past.sourceEvents);
    if (sourceEnded(state)) {
      this.#untilEnd(stored.id, actor.resumeVerdict(verdict!));
      return;
    }
    this.#running.set(stored.id, { side: "source", stored, actor });
    this.#untilEnd(stored.id, actor.resume(past.notes, verdict));
    // Only an undo must be complete before anything else. A doubt waits for the peer.
    await this.#awhile(actor.whenSettledHere());
  }

  async #restoreDestination(past: PastMigration): Promise<void> {
    const { guests, peers, ledger, site } = this.deps;
    const { stored, epoch, destinationEvents } = past;
    const entry = guests.find(stored.guestId);
    if (!entry) return;
    const state = replayDestination(destinationEvents);
    if (state.kind === "running") {
      const record = ledger.ownership(stored.guestId);
      if (record?.owner === site && record.migrationId === stored.id) this.#runsHere(entry.id);
    }
    if (destinationEnded(state)) return;
    const link = await peers.linkOrOrphan(stored.peer);
    const guest = lazyGuest(entry.definition.kind, () => guests.machine(stored.guestId));
    const { actor } = this.#destination(stored, guest, link, epoch, destinationEvents);
    const resumed = actor.resume(past.notes).then(() => this.#destinationChanged(stored.id));
    resumed.catch((error) => this.deps.log("error", `${stored.id}: ${error.stack ?? error}`));
    await this.#awhile(resumed);
  }

  /** A machine that does not answer is taken care of beside: others must not wait for it. */
  async #awhile(work: Promise<void>): Promise<void> {
    const waiting = new AbortController();
    const late = this.deps.clock.sleep(RESTORE_TIMEOUT_MS, waiting.signal).catch(() => {});
    await Promise.race([work.catch(() => {}), late]);
    waiting.abort();
  }

  /** A broken invariant ends its own move where it stands; other moves go on. */
  #untilEnd(id: string, procedure: Promise<void>): void {
    procedure.then(() => this.#ended(id)).catch((error) =>
      this.deps.log("error", `${id}: ${error instanceof Error ? error.stack : error}`)
    );
  }

  #claim(guestId: string): void {
    const moving = this.movingGuest(guestId);
    if (moving !== null || this.#claimed.has(guestId)) {
      throw new GatewayError("guest_moving", `Cannot move ${guestId}: it is moving already`, {
        hint: moving === null ? "Wait for the other request" : `See GET /v1/migrations/${moving}`,
      });
    }
    this.#claimed.add(guestId);
  }

  #sourceActor(
    stored: Omit<StoredMigration, "createdAt"> & { createdAt?: string },
    guest: ConstructorParameters<typeof SourceActor>[0]["guest"],
    link: PeerLink,
    epoch: number,
    events: readonly SourceEvent[],
  ): SourceActor {
    const { ledger, clock, site, log, scratchDirectory, sealer } = this.deps;
    const options = optionsOf(stored);
    const keep = keptReports(ledger, clock, log);
    const draft = this.#draft(stored, options, epoch);
    const before = events.length === 0 ? null : keptReport(ledger, stored.id);
    if (before) draft.resumeFrom(before);
    return new SourceActor({
      id: stored.id,
      site,
      peer: stored.peer,
      guestId: stored.guestId,
      guest,
      link,
      clock,
      options,
      epoch,
      journal: new Journal(ledger, stored.id, replaySource(events), nextSourceState),
      draft,
      scratchDirectory: `${scratchDirectory}/${stored.id}`,
      pages: pageMemory(this.deps.pages, scratchDirectory, this.deps.newId),
      sentHints: this.deps.contents.sentTo(stored.peer),
      sealer,
      kept: this.deps.kept.of(stored.guestId, stored.peer),
      images: this.deps.images,
      report: (report) => {
        keep(report);
        this.#listeners.tell(report);
      },
      log,
    });
  }

  #destination(
    stored: StoredMigration,
    guest: ConstructorParameters<typeof DestinationActor>[0]["guest"],
    link: PeerLink,
    epoch: number,
    events: readonly DestinationEvent[],
  ): Extract<Running, { side: "destination" }> {
    const { ledger, clock, site, log, scratchDirectory } = this.deps;
    const actor = new DestinationActor({
      id: stored.id,
      site,
      peer: stored.peer,
      guestId: stored.guestId,
      guest,
      link,
      clock,
      options: optionsOf(stored),
      epoch,
      journal: new Journal(ledger, stored.id, replayDestination(events), nextDestinationState),
      recordedEpoch: () => ledger.ownership(stored.guestId)?.epoch ?? 0,
      scratchDirectory: `${scratchDirectory}/${stored.id}`,
      pages: pageMemory(this.deps.pages, scratchDirectory, this.deps.newId),
      store: this.deps.contents.ofMove(stored.id, this.deps.peers.fingerprint(stored.peer)),
      kept: this.deps.kept.of(stored.guestId, stored.peer),
      images: this.deps.images,
      changed: () => this.#destinationChanged(stored.id),
      log,
    });
    const recorded = () => ledger.events(stored.id) as unknown as DestinationEvent[];
    const running: Extract<Running, { side: "destination" }> = {
      side: "destination",
      stored,
      actor,
      report: new ArrivingReport(stored, actor, site, recorded),
      begun: events.length > 0,
    };
    this.#running.set(stored.id, running);
    return running;
  }

  #destinationChanged(id: string): void {
    const running = this.#running.get(id);
    if (running?.side !== "destination") return;
    const { kind } = running.actor.state;
    if (kind === "owning" || kind === "running") this.#runsHere(running.stored.guestId);
    const isOffer = this.#isOffer(running);
    if (kind === "abandoned") {
      if (isOffer && !this.#forgetting.has(id)) auditWithdrawn(arrived(running), this.deps);
      this.#forgetLater(id);
    }
    const tell = () => this.#listeners.tell(running.report.render());
    if (kind === "running") {
      running.report.machineRuns(this.deps.clock, this.#stopping.signal, () => {
        if (this.#running.get(id) === running) tell();
      });
    }
    if (!isOffer) tell();
  }

  #begun(id: string): void {
    const running = this.#running.get(id);
    if (running?.side === "destination") running.begun = true;
  }

  #isOffer(running: Running): boolean {
    return running.side === "destination" && isOnlyOffered(arrived(running), this.deps.ledger);
  }

  /** The owner record says so already: where this cannot be written, the next start does it. */
  #runsHere(guestId: string): void {
    const { guests, log } = this.deps;
    if (guests.find(guestId)?.role === "source") return;
    try {
      guests.setRole(guestId, "source");
    } catch (error) {
      log("error", `${guestId}: ${toGatewayError(error).message}`);
    }
  }

  /** An abandoned move waits a while for the source's last report, then goes without it. */
  #forgetLater(id: string): void {
    if (this.#forgetting.has(id)) return;
    this.#forgetting.add(id);
    void this.deps.clock.sleep(LAST_REPORT_MS, this.#stopping.signal).then(
      () => this.#ended(id),
      () => {},
    ).finally(() => this.#forgetting.delete(id));
  }

  #render(running: Running): MigrationReport {
    return running.side === "source" ? running.actor.report() : running.report.render();
  }

  #draft(
    stored: Omit<StoredMigration, "createdAt"> & { createdAt?: string },
    options: MigrationOptions,
    epoch: number,
  ): ReportDraft {
    const { site, clock } = this.deps;
    const identity = { id: stored.id, guest: stored.guestId, from: site, to: stored.peer };
    const started = stored.createdAt === undefined ? undefined : Date.parse(stored.createdAt);
    const draft = new ReportDraft(identity, options, clock, started);
    draft.epoch = epoch;
    return draft;
  }

  /** The source's view of a move that arrives here; its last one ends the actor. */
  #reported(id: string, report: Partial<MigrationReport>): void {
    const running = this.#running.get(id);
    if (running?.side !== "destination") return;
    running.report.source = report;
    running.begun = true;
    this.#destinationChanged(id);
    if (running.report.isLast) this.#ended(id);
  }

  /** An operator's verdict found a machine of an ended move running here: it has been stopped. */
  #conflicted(
    id: string,
    { epoch, owner, by, reason }: { epoch: number; owner: string; by: string; reason: string },
  ): void {
    const { ledger } = this.deps;
    const event: DestinationEvent = {
      kind: "conflicted",
      epoch,
      reason: `${by} gave the machine to ${owner}: ${reason}`,
    };
    ledger.append(id, event);
    const report: MigrationReport = {
      ...this.report(id),
      state: "conflict",
      phase: event.reason,
      owner,
      epoch,
    };
    ledger.putReport(id, report);
    this.#listeners.tell(report);
  }

  /** Nothing more comes: the last report is kept, the actor goes. */
  #ended(id: string): void {
    const running = this.#running.get(id);
    if (!running) return;
    const report = this.#render(running);
    const isMove = !this.#isOffer(running);
    try {
      if (isMove) this.deps.ledger.putReport(id, report);
      this.#running.delete(id);
      // The source closes its own channels when its last words have arrived.
      if (running.side === "destination") {
        this.deps.peers.knownLink(running.stored.peer)?.closeChannels(id);
      }
    } catch (error) {
      this.deps.log("error", `${id}: ${toGatewayError(error).message}`);
    }
    if (isMove) this.#listeners.tell(report);
  }
}

function arrived({ stored, actor, begun }: Extract<Running, { side: "destination" }>): Arrived {
  return { stored, state: actor.state, begun };
}
