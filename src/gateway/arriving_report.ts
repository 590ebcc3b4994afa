import type { Clock } from "../core/clock.ts";
import type { StoredMigration } from "../ledger/ledger.ts";
import type { DestinationActor } from "../migration/destination/actor.ts";
import { destinationReport } from "../migration/destination/report.ts";
import { type DestinationEvent, partialCopies } from "../migration/destination/state.ts";
import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";

/** How long a machine that runs here shows `switching` while the source's last figures are missing. */
const CONFIRMED_MS = 5_000;

/** What is shown of a move that arrives here: the source's figures, with this end's own state on top. */
export class ArrivingReport {
  #source: Partial<MigrationReport> | null = null;
  /** The machine runs here and the source's last figures may still come; null before it runs. */
  #isUnconfirmed: boolean | null = null;

  /** @param events of the migration, from the ledger */
  constructor(
    private readonly stored: StoredMigration,
    private readonly actor: DestinationActor,
    private readonly site: string,
    private readonly events: () => readonly DestinationEvent[],
  ) {}

  /** The last report that the source sent. */
  get source(): Partial<MigrationReport> | null {
    return this.#source;
  }

  /**
   * Takes the source's next report. A gateway that restarted knows only how far the move was when it
   * last kept a report, and progress never goes back.
   */
  heard(report: Partial<MigrationReport>): void {
    const progress = Math.max(this.#source?.progress ?? 0, report.progress ?? 0);
    this.#source = { ...report, progress };
  }

  render(): MigrationReport {
    const { stored, site } = this;
    const { state, epoch } = this.actor;
    const gaveUp = state.kind === "refused" || state.kind === "abandoned";
    return destinationReport({
      stored,
      site,
      state,
      epoch,
      sourceReport: this.source,
      unconfirmed: this.#isUnconfirmed === true && !this.isLast,
      inDoubt: this.#isInDoubt,
      seeded: this.actor.isSeeded,
      partialCopies: partialCopies(gaveUp ? this.events() : []),
    });
  }

  /** A hand-over may be on its way from a source that is out of reach: then its machine stands still. */
  get #isInDoubt(): boolean {
    const { state, isInDoubt, isSourceSilent } = this.actor;
    const switching = this.source?.state === "switching" || this.source?.state === "inDoubt";
    return isInDoubt || (state.kind === "receiving" && switching && isSourceSilent);
  }

  /** The move has ended at both ends, and the source's last figures are here. */
  get isLast(): boolean {
    const state = this.source?.state;
    if (!this.actor.ended || state === undefined) return false;
    // A source that ended otherwise while the machine runs here has a verdict to tell.
    if (this.actor.state.kind === "running") return state === "completed";
    return ENDED_STATES.includes(state);
  }

  /**
   * The machine runs. Readers of either gateway get the same figures, unless the source stays silent
   * for too long; then `tell` is called.
   */
  machineRuns(clock: Pick<Clock, "sleep">, stopping: AbortSignal, tell: () => void): void {
    if (this.#isUnconfirmed !== null) return;
    this.#isUnconfirmed = true;
    void clock.sleep(CONFIRMED_MS, stopping).then(() => {
      this.#isUnconfirmed = false;
      tell();
    }, () => {});
  }
}
