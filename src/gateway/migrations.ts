import type { Clock } from "../core/clock.ts";
import { GatewayError, toGatewayError } from "../core/errors.ts";
import type { PathMeasurement, PeerLink } from "../link/peer_link.ts";
import type { Ledger, StoredMigration } from "../ledger/ledger.ts";
import { DestinationActor } from "../migration/destination/actor.ts";
import {
  destinationEnded,
  type DestinationEvent,
  nextDestinationState,
  replayDestination,
} from "../migration/destination/state.ts";
import { destinationReport } from "../migration/destination/report.ts";
import { Journal } from "../migration/journal.ts";
import {
  decodeMessage,
  encodeMessage,
  type ToDestination,
  toDestination,
  type ToSource,
  toSource,
} from "../migration/messages.ts";
import { type MigrationOptions, migrationOptions } from "../migration/options.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";
import { SourceActor } from "../migration/source/actor.ts";
import type { Verdict } from "../migration/source/courier.ts";
import { ReportDraft } from "../migration/source/draft.ts";
import {
  nextSourceState,
  replaySource,
  sourceEnded,
  type SourceEvent,
} from "../migration/source/state.ts";
import { FRAME_TYPES } from "../wire/frame_types.ts";
import type { GuestRegistry } from "./guests.ts";
import { lazyGuest } from "./lazy_guest.ts";
import type { PeerRegistry } from "./peers.ts";

/** Time for an offer to reach a peer whose link is just coming up. */
const LINK_UP_TIMEOUT_MS = 15_000;

/** Time that an orderly stop may take to give machines back; the next start does the rest. */
const STOP_TIMEOUT_MS = 10_000;

/** How long the destination of a failed move waits for the source's report of the end. */
const LAST_REPORT_MS = 60_000;

const NO_PATH: PathMeasurement = {
  roundTripMs: null,
  minRoundTripMs: null,
  bottleneckBytesPerSecond: null,
  goodputBytesPerSecond: null,
  lossRatio: null,
  silentMs: null,
};

type Running =
  | { readonly side: "source"; readonly stored: StoredMigration; readonly actor: SourceActor }
  | {
    readonly side: "destination";
    readonly stored: StoredMigration;
    readonly actor: DestinationActor;
    /** Last report that the source sent; shown with this end's own state on top. */
    sourceReport: Record<string, unknown> | null;
  };

export interface MigrationManagerDeps {
  readonly site: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly guests: GuestRegistry;
  readonly peers: PeerRegistry;
  readonly scratchDirectory: string;
  readonly newId: () => string;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** Every migration of this site, at either end: starts, accepts, restores and reports them. */
export class MigrationManager {
  readonly #running = new Map<string, Running>();
  readonly #listeners = new Set<(report: MigrationReport) => void>();
  /** Guests whose offer is being checked: two moves of one machine must not both get through. */
  readonly #claimed = new Set<string>();

  readonly #forgetting = new Set<string>();
  readonly #stopping = new AbortController();

  constructor(private readonly deps: MigrationManagerDeps) {}

  /** The migration that a guest is part of, if it has not ended. */
  movingGuest(guestId: string): string | null {
    for (const [id, running] of this.#running) {
      if (running.stored.guestId === guestId && !running.actor.ended) return id;
    }
    return null;
  }

  list(): MigrationReport[] {
    return this.deps.ledger.migrations().map(({ id }) => this.report(id));
  }

  /** @throws {GatewayError} `migration_unknown` */
  report(id: string): MigrationReport {
    const running = this.#running.get(id);
    if (running) return this.#render(running);
    const stored = this.deps.ledger.report(id);
    if (stored) return stored as MigrationReport;
    const ended = this.deps.ledger.migrations().find((migration) => migration.id === id);
    if (ended) return this.#fromEvents(ended);
    throw new GatewayError("migration_unknown", `Cannot find migration ${id}`, {
      hint: "GET /v1/migrations lists those of this site",
    });
  }

  onReport(listener: (report: MigrationReport) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
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
    if (decision.owner !== report.from && decision.owner !== report.to) {
      throw new GatewayError(
        "request_invalid",
        `Cannot give ${report.guest} to ${decision.owner}`,
        {
          hint: `owner must be ${report.from} or ${report.to}`,
        },
      );
    }
    const link = this.deps.peers.knownLink(report.to);
    if (!decision.force && link?.state === "up") {
      throw new GatewayError(
        "migration_state",
        `Cannot adjudicate ${id}: ${report.to} can be asked`,
        {
          hint: "The doubt ends by itself while the link is up; send force to decide all the same",
        },
      );
    }
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
    this.#claim(request.guest);
    try {
      const guest = await guests.machine(request.guest);
      await this.#whenUp(link, request.to);
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
            link.closeChannels(stored.id);
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
        void actor.run().then(() => this.#ended(stored.id));
        return actor.report();
      }
    } finally {
      this.#claimed.delete(request.guest);
    }
  }

  /** Watches a link for migrations that the peer starts or asks about. */
  watch(link: PeerLink): void {
    link.onNewMigration((id) => this.#contacted(link, id));
    link.onEvent((event) => {
      if (event.kind !== "restarted") return;
      for (const running of this.#running.values()) {
        if (
          running.side === "destination" && running.stored.peer === link.peerName &&
          !running.actor.ended
        ) {
          this.#contacted(link, running.stored.id);
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
    const { ledger, guests, peers } = this.deps;
    for (const stored of ledger.migrations()) {
      const events = ledger.events(stored.id);
      const entry = guests.find(stored.guestId);
      if (!entry) continue;
      const notes = lastNotes(events);
      if (stored.side === "source") {
        const state = replaySource(events as unknown as SourceEvent[]);
        const verdict = undeliveredVerdict(events, notes, this.deps.site, stored.peer);
        if (sourceEnded(state) && !verdict) continue;
        const guest = lazyGuest(entry.definition.kind, () => guests.machine(stored.guestId));
        const link = await peers.link(stored.peer).catch(() => null);
        if (!link) continue;
        const { epoch } = events[0] as unknown as { epoch: number };
        const actor = this.#sourceActor(
          stored,
          guest,
          link,
          epoch,
          events as unknown as SourceEvent[],
        );
        if (sourceEnded(state)) {
          void actor.resumeVerdict(verdict!);
          continue;
        }
        this.#running.set(stored.id, { side: "source", stored, actor });
        const resumed = actor.resume(notes, verdict).then(() => this.#ended(stored.id));
        // Only an undo must be complete before anything else; a doubt waits for the peer.
        if (state.kind !== "handedOver" && state.kind !== "retiring") {
          await actor.whenSettledHere();
        }
        void resumed;
      } else {
        const state = replayDestination(events as unknown as DestinationEvent[]);
        if (destinationEnded(state)) continue;
        const guest = lazyGuest(entry.definition.kind, () => guests.machine(stored.guestId));
        const link = await peers.link(stored.peer).catch(() => null);
        if (!link) continue;
        const { epoch } = events[0] as unknown as { epoch: number };
        const running = this.#destination(
          stored,
          guest,
          link,
          epoch,
          events as unknown as DestinationEvent[],
        );
        await running.actor.resume(notes);
        this.#destinationChanged(stored.id);
      }
    }
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

  async #whenUp(link: PeerLink, name: string): Promise<void> {
    if (link.state === "up") return;
    const { clock, peers } = this.deps;
    const waiting = new AbortController();
    let stop = () => {};
    const up = new Promise<void>((resolve) => {
      stop = link.onEvent((event) => event.kind === "up" && resolve());
    });
    const timeout = clock.sleep(LINK_UP_TIMEOUT_MS, waiting.signal).then(() => {
      throw peers.lastError(name) ??
        new GatewayError("peer_unreachable", `Cannot reach ${name}: no connection to its gateway`, {
          hint: "Check that it runs, its address in the configuration, and that UDP passes",
        });
    });
    timeout.catch(() => {});
    try {
      await Promise.race([up, timeout]);
    } finally {
      stop();
      waiting.abort();
    }
  }

  #sourceActor(
    stored: Omit<StoredMigration, "createdAt"> & { createdAt?: string },
    guest: ConstructorParameters<typeof SourceActor>[0]["guest"],
    link: PeerLink,
    epoch: number,
    events: readonly SourceEvent[],
  ): SourceActor {
    const { ledger, clock, site, log, scratchDirectory } = this.deps;
    const options = migrationOptions.parse(stored.options);
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
      draft: this.#draft(stored, options, epoch),
      scratchDirectory: `${scratchDirectory}/${stored.id}`,
      report: (report) => this.#publish(report),
      log,
    });
  }

  /** The peer speaks of a migration that no actor here listens to. */
  #contacted(link: PeerLink, id: string): void {
    const leftHere = this.deps.ledger.migrations()
      .some((migration) => migration.id === id && migration.side === "source");
    link.channel(id, "control").receive(async ({ type, payload }) => {
      if (type !== FRAME_TYPES.control) return;
      if (leftHere) await this.#askedAfterwards(link, id, decodeMessage(toSource, payload));
      else await this.#toDestination(link, id, decodeMessage(toDestination, payload));
    });
  }

  /** A destination still waits for a move that has ended here, perhaps in an earlier process. */
  async #askedAfterwards(link: PeerLink, id: string, message: ToSource): Promise<void> {
    if (message.type !== "waiting" && message.type !== "prepared") return;
    const answer: ToDestination = { type: "cancel", reason: "the move has ended at the source" };
    await this.#lastWord(link, id, answer);
  }

  async #toDestination(link: PeerLink, id: string, message: ToDestination): Promise<void> {
    const running = this.#running.get(id);
    if (running?.side === "destination") {
      if (message.type === "report") {
        running.sourceReport = message.report;
        this.#destinationChanged(id);
        if (this.#finalReport(running)) this.#ended(id);
        return;
      }
      await running.actor.receive(message);
      this.#destinationChanged(id);
      return;
    }
    switch (message.type) {
      case "offer":
        return await this.#offered(link, id, message);
      case "query":
        return await this.#queried(link, id, message);
      case "adjudicated":
        return await this.#adjudicatedAfterwards(id, message);
      default:
        // The end of a move that this side has closed already, or never accepted.
        return;
    }
  }

  async #offered(
    link: PeerLink,
    id: string,
    offer: Extract<ToDestination, { type: "offer" }>,
  ): Promise<void> {
    const { ledger, guests, clock } = this.deps;
    const record = ledger.ownership(offer.guest);
    const reject = async (error: GatewayError) => {
      ledger.audit("offer_rejected", {
        migration: id,
        guest: offer.guest,
        from: link.peerName,
        ...error.toJSON(),
      });
      await this.#lastWord(link, id, {
        type: "rejected",
        error: error.toJSON(),
        epoch: record?.epoch ?? null,
        owner: record?.owner ?? null,
      });
    };
    try {
      const entry = guests.find(offer.guest);
      if (!entry || entry.role !== "incoming") {
        throw new GatewayError(
          "destination_not_registered",
          `Cannot accept ${offer.guest}: ${
            entry ? "it runs here" : "no such guest is registered here"
          }`,
          { hint: `Register it at ${this.deps.site} with role "incoming"` },
        );
      }
      if (record && offer.epoch + 1 <= record.epoch) {
        throw new GatewayError(
          "offer_stale",
          `Cannot accept ${offer.guest}: epoch ${
            offer.epoch + 1
          } is not above ${record.epoch}, recorded here`,
          {
            hint: `The owner recorded here is ${
              record.owner ?? "nobody (refused)"
            }; use another guest id, or delete the guest at both sites`,
          },
        );
      }
      this.#claim(offer.guest);
      try {
        const guest = await guests.machine(offer.guest);
        const own = await guest.describe();
        if (own.runState !== "incoming") {
          throw new GatewayError(
            "destination_not_registered",
            `Cannot accept ${offer.guest}: the machine here is ${own.runState}, not waiting for a move`,
            { hint: "Start it with -incoming defer and register it again" },
          );
        }
        const findings = await guest.destination.preflight(offer.description);
        const stored: StoredMigration = {
          id,
          guestId: offer.guest,
          side: "destination",
          peer: link.peerName,
          options: { ...offer.options },
          createdAt: new Date(clock.wallMs()).toISOString(),
        };
        const epoch = offer.epoch + 1;
        ledger.createMigration(
          stored,
          { kind: "created", epoch, from: link.peerName } as DestinationEvent,
        );
        const running = this.#destination(stored, guest, link, epoch, []);
        await running.actor.accept(offer.description, own, findings);
        this.#destinationChanged(id);
      } finally {
        this.#claimed.delete(offer.guest);
      }
    } catch (error) {
      await reject(toGatewayError(error));
    }
  }

  /** A source asks about a move that is not running here: the ledger has the answer, or a refusal. */
  async #queried(
    link: PeerLink,
    id: string,
    query: Extract<ToDestination, { type: "query" }>,
  ): Promise<void> {
    const { ledger, site } = this.deps;
    const stored = ledger.migrations().find((migration) => migration.id === id);
    if (stored?.side === "destination") {
      const state = replayDestination(ledger.events(id) as unknown as DestinationEvent[]);
      if (state.kind === "running") {
        return await this.#lastWord(link, id, {
          type: "running",
          epoch: state.epoch,
          loadMs: null,
        });
      }
    }
    const error = new GatewayError(
      "handover_refused",
      `Cannot take ${query.guest} over: this move is not known at ${site} as complete`,
      { hint: "The machine runs at the source; start the move again" },
    ).toJSON();
    const record = ledger.ownership(query.guest);
    if (!record || record.epoch < query.epoch) {
      ledger.claim({
        guestId: query.guest,
        epoch: query.epoch,
        owner: null,
        migrationId: stored ? id : null,
        decidedBy: "refusal",
        reason: error.message,
      });
    }
    await this.#lastWord(link, id, { type: "refused", epoch: query.epoch, error });
  }

  /** An operator's verdict on a move that has ended here: its machine may be running at this site. */
  async #adjudicatedAfterwards(
    id: string,
    message: Extract<ToDestination, { type: "adjudicated" }>,
  ): Promise<void> {
    const { ledger, guests, site, log } = this.deps;
    const record = ledger.ownership(message.guest);
    if (message.owner === site || (record && record.epoch >= message.epoch)) return;
    const guest = guests.find(message.guest)?.guest;
    await guest?.source.pause().catch((error) =>
      log("error", `${id}: cannot stop ${message.guest}: ${toGatewayError(error).message}`)
    );
    const known = ledger.migrations().some((migration) => migration.id === id);
    ledger.claim({
      guestId: message.guest,
      epoch: message.epoch,
      owner: message.owner,
      migrationId: known ? id : null,
      decidedBy: message.by,
      reason: message.reason,
    });
    if (!known) return;
    const events = ledger.events(id) as unknown as DestinationEvent[];
    if (replayDestination(events).kind === "running") {
      ledger.append(id, {
        kind: "conflicted",
        epoch: message.epoch,
        reason: `${message.by} gave the machine to ${message.owner}: ${message.reason}`,
      } as DestinationEvent);
      const report = this.report(id);
      report.state = "conflict";
      report.owner = message.owner;
      report.epoch = message.epoch;
      ledger.putReport(id, report);
      this.#publish(report);
    }
  }

  /** Answers on the channel of a migration that no actor serves, and closes it once that arrived. */
  async #lastWord(link: PeerLink, id: string, message: ToSource | ToDestination): Promise<void> {
    const control = link.channel(id, "control");
    const sequence = await control.send(FRAME_TYPES.control, encodeMessage(message));
    void control.whenAppliedByPeer(sequence).then(() => {
      if (!this.#running.has(id)) link.closeChannels(id);
    }, () => {});
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
      options: migrationOptions.parse(stored.options),
      epoch,
      journal: new Journal(ledger, stored.id, replayDestination(events), nextDestinationState),
      scratchDirectory: `${scratchDirectory}/${stored.id}`,
      changed: () => this.#destinationChanged(stored.id),
      log,
    });
    const running: Extract<Running, { side: "destination" }> = {
      side: "destination",
      stored,
      actor,
      sourceReport: null,
    };
    this.#running.set(stored.id, running);
    return running;
  }

  #destinationChanged(id: string): void {
    const running = this.#running.get(id);
    if (running?.side !== "destination") return;
    if (running.actor.state.kind === "owning" || running.actor.state.kind === "running") {
      this.deps.guests.setRole(running.stored.guestId, "source");
    }
    if (running.actor.state.kind === "abandoned") this.#forgetLater(id);
    this.#publish(this.#render(running));
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
    if (running.side === "source") return running.actor.report();
    return destinationReport({
      stored: running.stored,
      site: this.deps.site,
      state: running.actor.state,
      epoch: running.actor.epoch,
      sourceReport: running.sourceReport,
    });
  }

  /** A migration whose gateway died between its last event and its last report. */
  #fromEvents(stored: StoredMigration): MigrationReport {
    const events = this.deps.ledger.events(stored.id);
    const { epoch } = events[0] as unknown as { epoch: number };
    if (stored.side === "destination") {
      const state = replayDestination(events as unknown as DestinationEvent[]);
      return destinationReport({ stored, site: this.deps.site, state, epoch, sourceReport: null });
    }
    const state = replaySource(events as unknown as SourceEvent[]);
    const draft = this.#draft(stored, migrationOptions.parse(stored.options), epoch);
    draft.endedAtWallMs = Date.parse(events.at(-1)!.at);
    if (state.kind === "completed") draft.owner = stored.peer;
    return draft.render(state, false, {
      state: "down",
      path: () => NO_PATH,
      wireBytes: { memory: 0, disk: 0, control: 0, total: 0 },
    });
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

  #finalReport(running: Extract<Running, { side: "destination" }>): boolean {
    const state = running.sourceReport?.state as MigrationReport["state"] | undefined;
    return running.actor.ended && state !== undefined && ENDED_STATES.includes(state);
  }

  #publish(report: MigrationReport): void {
    for (const listener of this.#listeners) listener(report);
  }

  /** Nothing more comes: the last report is kept, the actor goes. */
  #ended(id: string): void {
    const running = this.#running.get(id);
    if (!running) return;
    const report = this.#render(running);
    try {
      this.deps.ledger.putReport(id, report);
      this.#running.delete(id);
      // The source closes its own channels when its last words have arrived.
      if (running.side === "destination") {
        this.deps.peers.knownLink(running.stored.peer)?.closeChannels(id);
      }
    } catch (error) {
      this.deps.log("error", `${id}: ${toGatewayError(error).message}`);
    }
    this.#publish(report);
  }
}

/** What a machine's driver asked to be remembered last. */
function lastNotes(events: readonly { readonly kind: string }[]): Record<string, unknown> {
  const noted = events.findLast(({ kind }) => kind === "noted") as
    | { notes?: Record<string, unknown> }
    | undefined;
  return noted?.notes ?? {};
}

/** An operator's word that the peer has not confirmed yet; null where there is none. */
function undeliveredVerdict(
  events: readonly { readonly kind: string }[],
  notes: Record<string, unknown>,
  site: string,
  peer: string,
): Verdict | null {
  if (notes.verdictDelivered === true) return null;
  const found = events.findLast(({ kind }) => kind === "adjudicated") as
    | Extract<SourceEvent, { kind: "adjudicated" }>
    | undefined;
  if (!found) return null;
  const { epoch, by, reason } = found;
  return { epoch, by, reason, owner: found.owner === "source" ? site : peer };
}
