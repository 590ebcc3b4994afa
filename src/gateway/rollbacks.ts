import { GatewayError, toGatewayError } from "../core/errors.ts";
import type { PeerLink } from "../link/peer_link.ts";
import {
  decodeMessage,
  encodeMessage,
  type ToDestination,
  type ToSource,
  toSource,
} from "../migration/messages.ts";
import { replayDestination } from "../migration/destination/state.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";
import { errorOf } from "../migration/source/move.ts";
import { replaySource } from "../migration/source/state.ts";
import { FRAME_TYPES } from "../wire/frame_types.ts";
import type { MoveRequest } from "./departures.ts";
import { whenUp } from "./link_up.ts";
import type { MigrationDeps } from "./migration_deps.ts";
import type { MigrationReports } from "./migration_reports.ts";
import { optionsOf, readPast } from "./past.ts";
import { requireStillThere, rollbackNotPossible, whyNotBack } from "./rollback.ts";

/**
 * The peer starts a machine here that waits for the move, compares both and begins: seconds. After
 * this nothing is known of it, and it may begin all the same.
 */
const ANSWER_TIMEOUT_MS = 90_000;

export interface RollbacksDeps extends
  Pick<
    MigrationDeps,
    "site" | "ledger" | "clock" | "guests" | "peers" | "newId" | "log"
  > {
  readonly reports: Pick<MigrationReports, "report">;
  readonly movingGuest: (guestId: string) => string | null;
  readonly start: (request: MoveRequest) => Promise<MigrationReport>;
}

/**
 * Undoes completed moves: each by a move back of the machine as it is now, which starts where the
 * machine runs and is told from others by `rollbackOf` alone. Whatever fails in it, the machine
 * runs on where it is, as in every move.
 */
export class Rollbacks {
  constructor(private readonly deps: RollbacksDeps) {}

  /**
   * Begins the move back, at whichever end of the completed move this site is; one that goes on
   * already is left to it. Whether it does, the site that the machine leaves knows first: where this
   * is the other one, it is asked even if the last try seems to go on.
   *
   * @throws {GatewayError} `rollback_not_possible`, `peer_unreachable`, `guest_moving`
   */
  async begin(id: string): Promise<void> {
    const report = this.deps.reports.report(id);
    const goesOn = report.rollback !== null && !ENDED_STATES.includes(report.rollback.state);
    if (report.side === "destination") return goesOn ? undefined : await this.#moveBack(report);
    try {
      await this.#ask(report);
    } catch (error) {
      if (!goesOn || toGatewayError(error).code !== "peer_unreachable") throw error;
    }
  }

  /** The peer wants a machine back that came from there. Answers on the channel of the question. */
  async asked(
    link: PeerLink,
    question: Extract<ToDestination, { type: "rollback" }>,
  ): Promise<ToSource> {
    const { ledger, site, reports, log } = this.deps;
    const { migration: id, guest } = question;
    ledger.audit("rollback_asked", { migration: id, guest, from: link.peerName });
    try {
      const past = readPast(ledger, id, site);
      const isTheirs = past?.stored.side === "destination" &&
        past.stored.peer === link.peerName && past.stored.guestId === guest;
      if (!isTheirs || replayDestination(past.destinationEvents).kind !== "running") {
        throw rollbackNotPossible(id, `${site} has no record of it as completed`, "Adjudicate");
      }
      await this.begin(id);
      return { type: "rollbackBegan", migration: reports.report(id).rollback!.migration };
    } catch (thrown) {
      const error = toGatewayError(thrown);
      log("warn", `${id}: not rolled back: ${error.message}`);
      return { type: "rollbackRefused", error: error.toJSON() };
    }
  }

  /**
   * A machine that left here is offered back: makes it wait for the move, where its definition alone
   * tells how. Nothing is done for an id that an operator has registered as incoming.
   *
   * @param rollbackOf the move that took it away
   * @throws {GatewayError} `rollback_not_possible`, and why it cannot be started
   */
  async readmit(link: PeerLink, guestId: string, rollbackOf: string): Promise<void> {
    const { ledger, site, guests } = this.deps;
    const past = readPast(ledger, rollbackOf, site);
    const isOurs = past?.stored.side === "source" && past.stored.peer === link.peerName &&
      past.stored.guestId === guestId;
    if (!isOurs || replaySource(past.sourceEvents).kind !== "completed") {
      throw rollbackNotPossible(
        rollbackOf,
        `${site} has no record of it as a completed move to ${link.peerName}`,
        `Register ${guestId} with role "incoming" at ${site} and start a move at ${link.peerName}`,
      );
    }
    const move = { id: rollbackOf, guest: guestId, to: link.peerName, epoch: past.epoch + 1 };
    requireStillThere(move, ledger.ownershipHistory(guestId));
    const entry = guests.find(guestId);
    if (entry === null) {
      throw rollbackNotPossible(
        rollbackOf,
        `no machine ${guestId} is registered at ${site} any more`,
        `Register it there with role "incoming", then roll back again`,
      );
    }
    if (entry.role === "incoming") return;
    ledger.audit("guest_readmitted", { guest: guestId, migration: rollbackOf });
    await guests.readmit(guestId);
  }

  /** Here the machine runs: what it is now moves back onto the images that it left. */
  async #moveBack(report: MigrationReport): Promise<void> {
    const { id, guest, from, to } = report;
    const { ledger, site } = this.deps;
    const past = readPast(ledger, id, site)!;
    requireStillThere({ id, guest, to, epoch: past.epoch }, ledger.ownershipHistory(guest));
    const options = {
      ...optionsOf(past.stored),
      strategy: "precopy" as const,
      hold: false,
      window: null,
      keepSource: false,
      rollbackOf: id,
    };
    ledger.audit("rollback_begins", { migration: id, guest, to: from });
    try {
      await this.deps.start({ guest, to: from, options });
    } catch (thrown) {
      throw whyNotBack(id, toGatewayError(thrown));
    }
  }

  /** Here the machine lived: only the peer that runs it can let it go. */
  async #ask({ id, guest, to, epoch }: MigrationReport): Promise<void> {
    const { ledger, peers, clock, newId, reports } = this.deps;
    requireStillThere({ id, guest, to, epoch }, ledger.ownershipHistory(guest));
    const link = await peers.link(to);
    await whenUp(link, to, clock, () => peers.lastError(to));
    ledger.audit("rollback_asked", { migration: id, guest, to });
    // A channel of its own: those of the move have ended with it at both sites.
    const asking = newId();
    const channel = link.channel(asking, "control");
    const answered = new Promise<ToSource>((resolve, reject) => {
      channel.receive(({ payload }) => {
        try {
          resolve(decodeMessage(toSource, payload));
        } catch (error) {
          reject(error);
        }
        return Promise.resolve();
      });
    });
    answered.catch(() => {});
    const waiting = new AbortController();
    const late = clock.sleep(ANSWER_TIMEOUT_MS, waiting.signal).then(() => null, () => null);
    let stop = () => {};
    const lost = new Promise<null>((resolve) => {
      stop = link.onEvent(({ kind }) => kind === "restarted" && resolve(null));
    });
    try {
      const question: ToDestination = { type: "rollback", guest, migration: id };
      await channel.send(FRAME_TYPES.control, encodeMessage(question));
      const answer = await Promise.race([answered, late, lost]);
      if (answer?.type === "rollbackRefused") throw errorOf(answer.error);
      // Whatever became of the answer: a move back that was offered here has begun.
      if (answer?.type !== "rollbackBegan" && reports.report(id).rollback === null) {
        throw new GatewayError("peer_unreachable", `Cannot roll ${id} back: ${to} did not answer`, {
          hint: "Look at its gateway, and at the migration here: the move back may begin yet",
        });
      }
    } finally {
      stop();
      waiting.abort();
      link.closeChannels(asking);
    }
  }
}
