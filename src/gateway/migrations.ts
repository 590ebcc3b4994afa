import { GatewayError, toGatewayError } from "../core/errors.ts";
import type { PeerLink } from "../link/peer_link.ts";
import type { DestinationEvent } from "../migration/destination/state.ts";
import type { MigrationReport } from "../migration/report.ts";
import type { SourceActor } from "../migration/source/actor.ts";
import type { SourceEvent } from "../migration/source/state.ts";
import { destinationActor, sourceActor, type ToServe } from "./actors.ts";
import { type Decision, epochOfDecision, requireAdjudicable } from "./adjudication.ts";
import { Arrivals } from "./arrivals.ts";
import { ArrivingReport } from "./arriving_report.ts";
import { depart, type MoveRequest } from "./departures.ts";
import { fenced } from "./fence.ts";
import type { MigrationDeps } from "./migration_deps.ts";
import { MigrationReports, render } from "./migration_reports.ts";
import { auditWithdrawn } from "./offers.ts";
import { answerPlan } from "./plan/answer.ts";
import { restoreMigrations } from "./restoring.ts";
import { Rollbacks } from "./rollbacks.ts";
import { type Arrival, arrived, RunningMigrations } from "./running.ts";

/** Time that an orderly stop may take to give machines back; the next start does the rest. */
const STOP_TIMEOUT_MS = 10_000;

/** How long the destination of a failed move waits for the source's report of the end. */
const LAST_REPORT_MS = 60_000;

/**
 * Every migration of this site, at either end, from its start (`departures.ts`, `arrivals.ts`) or the
 * start of this process (`restoring.ts`) to its last report (`migration_reports.ts`).
 */
export class MigrationManager {
  readonly reports: MigrationReports;
  readonly #running: RunningMigrations;
  readonly #forgetting = new Set<string>();
  readonly #stopping = new AbortController();
  readonly #arrivals: Arrivals;
  readonly rollbacks: Rollbacks;

  constructor(private readonly deps: MigrationDeps) {
    const running = new RunningMigrations(deps.ledger);
    this.#running = running;
    this.reports = new MigrationReports({ ...deps, running });
    this.#arrivals = new Arrivals({
      ...deps,
      arriving: (id) => running.arrival(id),
      isRunning: (id) => running.get(id) !== null,
      claim: (guestId) => running.claim(guestId),
      release: (guestId) => running.release(guestId),
      whenEarlierEnded: (guestId, peer, limit) => running.whenEarlierEnded(guestId, peer, limit),
      planned: (peer, question) => answerPlan({ ...deps, running }, peer, question),
      accept: (stored, guest, link, epoch) =>
        this.#arrival({ stored, guest, link, epoch, events: [] }),
      begun: (id) => {
        const arrival = running.arrival(id);
        if (arrival) arrival.begun = true;
      },
      reported: (id, report) => this.#reported(id, report),
      changed: (id) => this.#changed(id),
      conflicted: (id, message) => this.reports.conflicted(id, message),
      rollbacks: () => this.rollbacks,
    });
    this.rollbacks = new Rollbacks({
      ...deps,
      reports: this.reports,
      movingGuest: (guestId) => running.movingGuest(guestId),
      start: (request) => this.start(request),
    });
  }

  /** The migration that a guest is part of, if it has not ended. */
  movingGuest(guestId: string): string | null {
    return this.#running.movingGuest(guestId);
  }

  /** The actor of a move that leaves this site. @throws `migration_unknown`, `migration_state` */
  source(id: string, action: string): SourceActor {
    const running = this.#running.get(id);
    if (running?.side === "source") return running.actor;
    const report = this.reports.report(id);
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
   * An operator's word on who runs the machine of a move in doubt, at either end of it. Recorded
   * first; the other side learns it from the higher epoch.
   *
   * @throws {GatewayError} `migration_state`, `request_invalid`, `fence_failed`
   */
  async adjudicate(id: string, decision: Decision): Promise<void> {
    const { ledger, fence, site } = this.deps;
    const running = this.#running.get(id);
    const arriving = running?.side === "destination" ? running.actor : null;
    const leaving = arriving === null ? this.source(id, "adjudicate") : null;
    const report = this.reports.report(id);
    const { peer } = running!.stored;
    const canAsk = this.deps.peers.knownLink(peer)?.state === "up" &&
      arriving?.hasLostMachine !== true;
    requireAdjudicable(report, decision, canAsk);
    const { owner, by, reason } = decision;
    const recorded = ledger.ownership(report.guest)?.epoch ?? 0;
    const began = arriving === null ? leaving!.epoch : arriving.epoch - 1;
    const epoch = epochOfDecision(began, recorded);
    // At the destination nothing starts: what is given to it runs there already.
    if (leaving && fence !== null && owner === site) {
      leaving.requireInDoubt();
      const request = { guest: report.guest, migration: id, epoch, site, other: peer, reason, by };
      const outcome = await fenced(fence, { version: 1, ...request }, ledger);
      leaving.requireInDoubt();
      leaving.noteFence(outcome);
    }
    ledger.audit("adjudicated", { migration: id, epoch, ...decision });
    if (arriving) return arriving.adjudicate({ owner, by, reason, epoch });
    const side = owner === report.from ? "source" : "destination";
    leaving!.adjudicate({ owner: side, by, reason, epoch });
  }

  /** Preflight and start; see `GatewayService.startMigration`. */
  async start(request: MoveRequest): Promise<MigrationReport> {
    const { stored, actor } = await depart({
      ...this.deps,
      running: this.#running,
      actor: (move) => this.#sourceActor(move),
    }, request);
    this.#untilEnd(stored.id, actor.run());
    return actor.report();
  }

  /** Watches a link for migrations that the peer starts or asks about. */
  watch(link: PeerLink): void {
    link.onNewMigration((id) => this.#arrivals.listen(link, id));
    link.onEvent((event) => {
      if (event.kind === "closedByPeer") {
        void this.#running.arrival(event.migrationId)?.actor.closedBySource(event.reason);
      }
      if (event.kind === "up" || event.kind === "down") {
        for (const { side, stored } of this.#running.all()) {
          // Whether its source is in doubt is seen in the report alone.
          if (side === "destination" && stored.peer === link.peerName) this.#changed(stored.id);
        }
      }
      if (event.kind !== "restarted") return;
      for (const running of this.#running.all()) {
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
    const open = this.#running.all().filter(({ actor }) => !actor.ended);
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

  /** First act after a restart: see `restoreMigrations`. */
  restore(): Promise<void> {
    return restoreMigrations({
      ...this.deps,
      running: this.#running,
      departure: (move) => this.#sourceActor(move),
      arrival: (move) => this.#arrival(move),
      listen: (link, id) => this.#arrivals.listen(link, id),
      untilEnd: (id, procedure) => this.#untilEnd(id, procedure),
      changed: (id) => this.#changed(id),
      runsHere: (guestId) => this.#runsHere(guestId),
    });
  }

  /** A broken invariant ends its own move where it stands; other moves go on. */
  #untilEnd(id: string, procedure: Promise<void>): void {
    procedure.then(() => this.#ended(id)).catch((error) =>
      this.deps.log("error", `${id}: ${error instanceof Error ? error.stack : error}`)
    );
  }

  #sourceActor(move: ToServe<SourceEvent>): SourceActor {
    return sourceActor(this.deps, move, (report) => this.reports.tell(report));
  }

  #arrival(move: ToServe<DestinationEvent> & { stored: Arrival["stored"] }): Arrival {
    const { ledger, site } = this.deps;
    const { stored, events } = move;
    const actor = destinationActor(
      this.deps,
      move,
      () => this.#changed(stored.id),
      () => this.#arrivals.listen(move.link, stored.id),
    );
    const recorded = () => ledger.events(stored.id) as unknown as DestinationEvent[];
    const arrival: Arrival = {
      side: "destination",
      stored,
      actor,
      report: new ArrivingReport(stored, actor, site, recorded),
      begun: events.length > 0,
    };
    this.#running.add(arrival);
    return arrival;
  }

  /** Something of an arrival is new: its end here is seen to, and its report told. */
  #changed(id: string): void {
    const arrival = this.#running.arrival(id);
    if (!arrival) return;
    this.#running.changed();
    const { kind } = arrival.actor.state;
    if (kind === "owning" || kind === "running") this.#runsHere(arrival.stored.guestId);
    const isOffer = this.#running.isOffer(arrival);
    if (kind === "abandoned") {
      if (isOffer && !this.#forgetting.has(id)) auditWithdrawn(arrived(arrival), this.deps);
      this.#forgetLater(id);
    }
    const tell = () => this.reports.tell(arrival.report.render());
    if (kind === "running") {
      arrival.report.machineRuns(this.deps.clock, this.#stopping.signal, () => {
        if (this.#running.get(id) === arrival) tell();
      });
    }
    if (!isOffer) tell();
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

  /** The source's view of a move that arrives here; its last one ends the actor. */
  #reported(id: string, report: Partial<MigrationReport>): void {
    const arrival = this.#running.arrival(id);
    if (!arrival) return;
    arrival.report.heard(report);
    arrival.begun = true;
    this.#changed(id);
    if (arrival.report.isLast) this.#ended(id);
  }

  /** Nothing more comes: the last report is kept, the actor goes. */
  #ended(id: string): void {
    const running = this.#running.get(id);
    if (!running) return;
    const report = render(running);
    const isMove = !this.#running.isOffer(running);
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
    if (isMove) this.reports.tell(report);
  }
}
