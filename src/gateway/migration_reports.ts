import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { type DestinationEvent, wasWithdrawn } from "../migration/destination/state.ts";
import type { MigrationReport } from "../migration/report.ts";
import type { SourceEvent } from "../migration/source/state.ts";
import { adjudicationOf } from "./adjudication.ts";
import { isLast, ofThisVersion } from "./kept_reports.ts";
import { readPast, reportOfPast } from "./past.ts";
import { ReportListeners } from "./report_listeners.ts";
import { withRollback } from "./rollback.ts";
import type { Running, RunningMigrations } from "./running.ts";

export interface MigrationReportsDeps {
  readonly site: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly running: RunningMigrations;
  readonly log: (level: "error", message: string) => void;
}

/**
 * What is shown of each migration of this site: by its actor while one serves it, then by the last
 * report that was kept, and where a gateway died before that, by its events.
 */
export class MigrationReports {
  readonly #listeners: ReportListeners;

  constructor(private readonly deps: MigrationReportsDeps) {
    this.#listeners = new ReportListeners(deps.log);
  }

  list(): MigrationReport[] {
    const { ledger, running: moves } = this.deps;
    return ledger.migrations().flatMap(({ id }) => {
      const running = moves.get(id);
      return running && moves.isOffer(running) ? [] : this.#shown(id) ?? [];
    });
  }

  /** @throws {GatewayError} `migration_unknown` */
  report(id: string): MigrationReport {
    const report = this.#shown(id);
    if (report) return report;
    throw new GatewayError("migration_unknown", `Cannot find migration ${id}`, {
      hint: "GET /v1/migrations lists those of this site",
    });
  }

  onReport(listener: (report: MigrationReport) => void): () => void {
    return this.#listeners.add(listener);
  }

  /** Shows a new report to everybody who listens, and that of the move that it undoes. */
  tell(report: MigrationReport): void {
    this.#listeners.tell(this.#onTop(report));
    const undone = report.rollbackOf === null ? null : this.#shown(report.rollbackOf);
    if (undone) this.#listeners.tell(undone);
  }

  /** Notes what was deleted, so that no report names it again. */
  leftoversDeleted(id: string, paths: readonly string[]): void {
    const { ledger } = this.deps;
    ledger.append(id, { kind: "leftoversDeleted", paths } as SourceEvent);
    const report = this.#find(id)!;
    report.leftovers = report.leftovers.filter((path) => !paths.includes(path));
    ledger.putReport(id, report);
  }

  /** An operator's verdict found a machine of an ended move running here: it has been stopped. */
  conflicted(
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
      ...this.#find(id)!,
      state: "conflict",
      phase: event.reason,
      owner,
      epoch,
    };
    ledger.putReport(id, report);
    this.tell(report);
  }

  #shown(id: string): MigrationReport | null {
    const report = this.#find(id);
    return report && this.#onTop(report);
  }

  /** What other moves and operators make of this one. They are asked each time, so that no crash parts the two. */
  #onTop(bare: MigrationReport): MigrationReport {
    const { ledger } = this.deps;
    const adjudication = adjudicationOf(bare.id, ledger.ownershipHistory(bare.guest));
    const report = { ...bare, adjudication };
    if (report.state !== "completed") return report;
    for (const { id } of ledger.rollbacksOf(report.id).reverse()) {
      // One whose offer was refused was no move.
      const back = this.#find(id);
      if (back) return withRollback(report, back);
    }
    return report;
  }

  /**
   * Null also for an offer that was withdrawn. One that may still begin has a report: whoever asks by
   * its id has that from the source, where it has begun, and its `begin` is on the way.
   */
  #find(id: string): MigrationReport | null {
    const { ledger, site, clock, running: moves } = this.deps;
    const running = moves.get(id);
    if (running) return running.actor.ended && moves.isOffer(running) ? null : render(running);
    const stored = ledger.report(id) as MigrationReport | null;
    if (stored && isLast(stored)) {
      return ofThisVersion(stored, () => readPast(ledger, id, site)!.stored.options);
    }
    const past = readPast(ledger, id, site);
    if (!past || (stored === null && wasWithdrawn(past.destinationEvents))) return null;
    return reportOfPast(past, site, clock, stored);
  }
}

/** The present report of a migration that an actor serves. */
export function render(running: Running): MigrationReport {
  return running.side === "source" ? running.actor.report() : running.report.render();
}
