import type { Clock } from "../core/clock.ts";
import { GatewayError, toGatewayError } from "../core/errors.ts";
import type { Guest } from "../guest/guest.ts";
import type { Ledger, StoredMigration } from "../ledger/ledger.ts";
import type { PeerLink } from "../link/peer_link.ts";
import type { DestinationActor } from "../migration/destination/actor.ts";
import { insist } from "../migration/destination/insist.ts";
import { type DestinationEvent, replayDestination } from "../migration/destination/state.ts";
import {
  type Adjudicated,
  decodeMessage,
  encodeMessage,
  type ToDestination,
  toDestination,
  toEither,
  type ToSource,
  toSource,
} from "../migration/messages.ts";
import type { MigrationReport } from "../migration/report.ts";
import {
  type PeerAcceptance,
  requireGuestAccepted,
  requireQuota,
} from "../security/accept_rules.ts";
import { FRAME_TYPES } from "../wire/frame_types.ts";
import type { GuestRegistry } from "./guests.ts";
import { examineIncoming, requireAcceptable } from "./incoming_checks.ts";
import { endError, replaySource } from "../migration/source/state.ts";
import { canObey } from "../migration/source/verdict.ts";
import { readPast } from "./past.ts";
import { requireSameRedirect } from "./redirecting.ts";
import { sizesOf, usageOf } from "./peer_usage.ts";
import type { Rollbacks } from "./rollbacks.ts";

type Message<T extends ToDestination["type"]> = Extract<ToDestination, { type: T }>;

/** How far ahead of this site's record the epoch of an honest question can be. */
const EPOCHS_AHEAD_MAX = 2;

/** Time for the end of a machine's last try to get here before its next offer is refused. */
const EARLIER_END_TIMEOUT_MS = 10_000;

/** A migration that arrives here, as the manager keeps it. */
export interface Arriving {
  readonly stored: StoredMigration;
  readonly actor: DestinationActor;
}

/** What arrivals need of the manager, which keeps every running migration. */
export interface ArrivalsDeps {
  readonly site: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly guests: GuestRegistry;
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
  readonly arriving: (id: string) => Arriving | null;
  /** True while any actor of this id lives, at either side. */
  readonly isRunning: (id: string) => boolean;
  readonly acceptance: (peer: string) => PeerAcceptance | null;
  /** @throws {GatewayError} `guest_moving` */
  readonly claim: (guestId: string) => void;
  readonly release: (guestId: string) => void;
  /** An earlier move of this guest from this peer is over; resolves at `limit` all the same. */
  readonly whenEarlierEnded: (guestId: string, peer: string, limit: AbortSignal) => Promise<void>;
  readonly accept: (
    stored: StoredMigration,
    guest: Guest,
    link: PeerLink,
    epoch: number,
  ) => Arriving;
  /** The answer to a peer's question for a plan. */
  readonly planned: (peer: string, question: Message<"plan">) => Promise<ToSource>;
  /** The source has begun what it offered. */
  readonly begun: (id: string) => void;
  readonly reported: (id: string, report: Partial<MigrationReport>) => void;
  readonly changed: (id: string) => void;
  readonly rollbacks: () => Rollbacks;
  /** A migration that had ended here is in conflict now. */
  readonly conflicted: (id: string, message: Message<"adjudicated">) => void;
}

/**
 * What peers say of migrations on their control channels: offers, the messages of moves that arrive
 * here, and questions about moves that no actor serves any more, which the ledger answers.
 */
export class Arrivals {
  constructor(private readonly deps: ArrivalsDeps) {}

  /**
   * Listens to one migration of a peer: when its first frame comes, and for an actor that opens its
   * channel before one does.
   */
  listen(link: PeerLink, id: string): void {
    const past = readPast(this.deps.ledger, id, this.deps.site);
    const foreign = past !== null && past.stored.peer !== link.peerName;
    link.channel(id, "control").receive(async ({ type, payload }) => {
      if (type !== FRAME_TYPES.control) return;
      if (foreign) return this.#intruded(link, id);
      if (past?.stored.side === "source") {
        return await this.#askedAfterwards(link, id, decodeMessage(toSource, payload));
      }
      const message = decodeMessage(past ? toDestination : toEither, payload);
      if (message.type === "waiting" || message.type === "prepared") {
        return await this.#askedAfterwards(link, id, message);
      }
      await this.#receive(link, id, message as ToDestination);
    });
  }

  /** A migration belongs to the two sites that made it; nobody else may speak of it. */
  #intruded(link: PeerLink, id: string): void {
    this.deps.log("warn", `${link.peerName} spoke of migration ${id}, which is another peer's`);
    this.deps.ledger.audit("foreign_migration", { migration: id, from: link.peerName });
    link.closeChannels(id);
  }

  /** A destination still waits for a move that has ended here, perhaps in an earlier process. */
  async #askedAfterwards(link: PeerLink, id: string, message: ToSource): Promise<void> {
    if (message.type === "adjudicated") return this.#decidedThere(link, id, message);
    if (message.type !== "waiting" && message.type !== "prepared") return;
    const past = readPast(this.deps.ledger, id, this.deps.site);
    const error = past === null
      ? forgotten(this.deps.site)
      : endError(replaySource(past.sourceEvents));
    const reason = error?.message ?? "the move has ended at the source";
    await this.#lastWord(link, id, { type: "cancel", reason, error });
  }

  async #receive(link: PeerLink, id: string, message: ToDestination): Promise<void> {
    const arriving = this.deps.arriving(id);
    if (arriving) {
      if (arriving.stored.peer !== link.peerName) return this.#intruded(link, id);
      if (message.type === "report") return this.deps.reported(id, message.report);
      if (message.type === "begin") this.deps.begun(id);
      await arriving.actor.receive(message);
      return this.deps.changed(id);
    }
    switch (message.type) {
      case "offer":
        return await this.#offered(link, id, message);
      case "plan":
        return await this.#planned(link, id, message);
      case "query":
        return await this.#queried(link, id, message);
      case "adjudicated":
        return await this.#adjudicated(link, id, message);
      case "rollback":
        // Not awaited: it takes seconds, and the question must not be asked again meanwhile.
        return void this.deps.rollbacks().asked(link, message)
          .then((answer) => this.#lastWord(link, id, answer))
          .catch((error) => this.deps.log("error", `${message.migration}: ${error.message}`));
      default:
        // The end of a move that this side has closed already, or never accepted.
        return;
    }
  }

  async #offered(link: PeerLink, id: string, offer: Message<"offer">): Promise<void> {
    const { ledger, clock, claim, release } = this.deps;
    const record = ledger.ownership(offer.guest);
    const epoch = offer.epoch + 1;
    const acceptance = this.deps.acceptance(link.peerName);
    const asked = { guest: offer.guest, peer: link.peerName, site: this.deps.site };
    try {
      requireGuestAccepted(acceptance, asked);
      await this.#whenEarlierEnded(link, offer.guest);
      const { rollbackOf } = offer.options;
      if (rollbackOf !== null) await this.#readmitted(link, offer.guest, rollbackOf);
      requireAcceptable(this.deps, offer.guest, epoch);
      requireSameRedirect(this.deps.guests.get(offer.guest), offer.redirect, this.deps.site);
      claim(offer.guest);
      try {
        const { guest, own, findings } = await examineIncoming(
          this.deps,
          offer.guest,
          offer.description,
        );
        const stored: StoredMigration = {
          id,
          guestId: offer.guest,
          side: "destination",
          peer: link.peerName,
          options: { ...offer.options },
          createdAt: new Date(clock.wallMs()).toISOString(),
        };
        const created: DestinationEvent = { kind: "created", epoch, from: link.peerName };
        const sizes = sizesOf(own);
        // Nothing is awaited between this and the record: two offers at once are counted both.
        requireQuota(acceptance, asked, sizes, usageOf(this.deps, link.peerName));
        ledger.createMigration(stored, created, sizes);
        const { actor } = this.deps.accept(stored, guest, link, epoch);
        await actor.accept(offer.description, own, findings);
        this.deps.changed(id);
      } finally {
        release(offer.guest);
      }
    } catch (thrown) {
      const error = toGatewayError(thrown).toJSON();
      ledger.audit("offer_rejected", {
        migration: id,
        guest: offer.guest,
        from: link.peerName,
        ...error,
      });
      await this.#lastWord(link, id, {
        type: "rejected",
        error,
        epoch: record?.epoch ?? null,
        owner: record?.owner ?? null,
      });
    }
  }

  async #whenEarlierEnded(link: PeerLink, guestId: string): Promise<void> {
    const { clock, whenEarlierEnded } = this.deps;
    const limit = new AbortController();
    const isOver = new AbortController();
    void clock.sleep(EARLIER_END_TIMEOUT_MS, isOver.signal).then(() => limit.abort(), () => {});
    try {
      await whenEarlierEnded(guestId, link.peerName, limit.signal);
    } finally {
      isOver.abort();
    }
  }

  /** A source asks what would be found: no move begins, and none is refused. */
  async #planned(link: PeerLink, id: string, question: Message<"plan">): Promise<void> {
    const control = link.channel(id, "control");
    try {
      const answer = await this.deps.planned(link.peerName, question);
      const sequence = await control.send(FRAME_TYPES.control, encodeMessage(answer));
      // Not awaited here: what comes in on this channel is handled one after the other.
      void control.whenAppliedByPeer(sequence).catch(() => {})
        .then(() => link.closeChannels(id));
    } catch (error) {
      // Whoever asked has gone.
      this.deps.log("info", `${id}: a plan was not answered: ${toGatewayError(error).message}`);
      link.closeChannels(id);
    }
  }

  async #readmitted(link: PeerLink, guestId: string, rollbackOf: string): Promise<void> {
    const { claim, release, rollbacks } = this.deps;
    claim(guestId);
    try {
      await rollbacks().readmit(link, guestId, rollbackOf);
    } finally {
      release(guestId);
    }
  }

  /** A source asks about a move that no actor serves here: the ledger answers, or a refusal. */
  async #queried(link: PeerLink, id: string, query: Message<"query">): Promise<void> {
    const { ledger, site } = this.deps;
    const past = readPast(ledger, id, site);
    const state = past ? replayDestination(past.destinationEvents) : null;
    if (state?.kind === "running") {
      const { epoch } = state;
      return await this.#lastWord(link, id, { type: "running", epoch, loadMs: null });
    }
    const error = new GatewayError(
      "handover_refused",
      `Cannot take ${query.guest} over: this move is not known at ${site} as complete`,
      { hint: "The machine runs at the source; start the move again" },
    ).toJSON();
    const known = ledger.ownership(query.guest)?.epoch ?? 0;
    // The refusal is durable before it is told. A peer's invented epoch must not lock the guest out.
    if (query.epoch > known && (past || query.epoch <= known + EPOCHS_AHEAD_MAX)) {
      ledger.claim({
        guestId: query.guest,
        epoch: query.epoch,
        owner: null,
        migrationId: past ? id : null,
        decidedBy: "refusal",
        reason: error.message,
      });
    }
    await this.#lastWord(link, id, { type: "refused", epoch: query.epoch, error });
  }

  /** An operator's verdict on a move that has ended here: its machine may be running at this site. */
  async #adjudicated(link: PeerLink, id: string, message: Message<"adjudicated">): Promise<void> {
    const { ledger, guests, site, log, clock } = this.deps;
    const past = readPast(ledger, id, site);
    const record = ledger.ownership(message.guest);
    if (past?.stored.guestId !== message.guest) {
      ledger.audit("verdict_ignored", { migration: id, from: link.peerName, ...message });
      return;
    }
    if (record && record.epoch >= message.epoch) return;
    const { guest: guestId, epoch, owner, by: decidedBy, reason } = message;
    // Rule 4: the machine is stopped before anything else, and nothing is deleted. The verdict is not
    // acknowledged, so the peer does not count it as known, until that has worked.
    if (owner !== site) {
      await insist({ clock, log, id }, `stop ${guestId}`, async () => {
        if (!guests.find(guestId)) return;
        const machine = await guests.machine(guestId);
        if (await machine.runState() === "running") await machine.source.pause();
      });
    }
    ledger.claim({ guestId, epoch, owner, migrationId: id, decidedBy, reason });
    if (owner !== site && replayDestination(past.destinationEvents).kind === "running") {
      this.deps.conflicted(id, message);
    }
  }

  /** An operator of the destination decided about a move that has ended here: it goes on record. */
  #decidedThere(link: PeerLink, id: string, message: Adjudicated): void {
    const { ledger, site } = this.deps;
    const past = readPast(ledger, id, site);
    const { guest: guestId, epoch, owner, by: decidedBy, reason } = message;
    const isParty = past?.stored.guestId === guestId && [site, link.peerName].includes(owner);
    const isNew = epoch > (ledger.ownership(guestId)?.epoch ?? 0);
    if (!isParty || !isNew || !canObey(replaySource(past.sourceEvents), owner === site)) {
      return ledger.audit("verdict_ignored", { migration: id, from: link.peerName, ...message });
    }
    ledger.claim({ guestId, epoch, owner, migrationId: id, decidedBy, reason });
  }

  /** Answers on the channel of a migration that no actor serves, and closes it once that arrived. */
  async #lastWord(link: PeerLink, id: string, message: ToSource | ToDestination): Promise<void> {
    const control = link.channel(id, "control");
    const sequence = await control.send(FRAME_TYPES.control, encodeMessage(message));
    void control.whenAppliedByPeer(sequence).then(() => {
      if (!this.deps.isRunning(id)) link.closeChannels(id);
    }, () => {});
  }
}

/** What a site says of a move that its ledger does not know. */
function forgotten(site: string) {
  return {
    code: "gateway_restarted",
    message: `Cannot go on with the move: ${site} has no record of it`,
    hint: "The machine runs at the source; start the move again",
  };
}
