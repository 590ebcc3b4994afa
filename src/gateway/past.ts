import type { Clock } from "../core/clock.ts";
import type { Ledger, StoredMigration } from "../ledger/ledger.ts";
import type { PathMeasurement } from "../link/peer_link.ts";
import { destinationReport } from "../migration/destination/report.ts";
import {
  type DestinationEvent,
  partialCopies,
  replayDestination,
} from "../migration/destination/state.ts";
import { migrationOptions } from "../migration/options.ts";
import type { MigrationReport } from "../migration/report.ts";
import type { Verdict } from "../migration/source/courier.ts";
import { ReportDraft } from "../migration/source/draft.ts";
import { replaySource, type SourceEvent } from "../migration/source/state.ts";

const NO_PATH: PathMeasurement = {
  roundTripMs: null,
  minRoundTripMs: null,
  bottleneckBytesPerSecond: null,
  goodputBytesPerSecond: null,
  lossRatio: null,
  queueMs: null,
  jitterMs: null,
  silentMs: null,
};

/** What the ledger knows of one migration: everything that outlives the gateway's process. */
export interface PastMigration {
  readonly stored: StoredMigration;
  /** The guest's epoch when it began (source), or that its hand-over carries (destination). */
  readonly epoch: number;
  /** What the machine's driver asked to be remembered last. */
  readonly notes: Record<string, unknown>;
  readonly sourceEvents: readonly SourceEvent[];
  readonly destinationEvents: readonly DestinationEvent[];
  /** An operator's word that the peer has not confirmed yet. */
  readonly verdict: Verdict | null;
  readonly lastEventAt: string;
}

/** Reads one migration back; null where the ledger has none of this id. */
export function readPast(ledger: Ledger, id: string, site: string): PastMigration | null {
  const stored = ledger.migrations().find((migration) => migration.id === id);
  if (!stored) return null;
  const events = ledger.events(id);
  const noted = events.findLast(({ kind }) => kind === "noted") as
    | { notes?: Record<string, unknown> }
    | undefined;
  const notes = noted?.notes ?? {};
  const isSource = stored.side === "source";
  const destinationEvents = isSource ? [] : events as unknown as DestinationEvent[];
  const sourceEvents = isSource ? events as unknown as SourceEvent[] : [];
  return {
    stored,
    epoch: (events[0] as unknown as { epoch: number }).epoch,
    notes,
    sourceEvents,
    destinationEvents,
    verdict: notes.verdictDelivered === true
      ? null
      : verdictOf(sourceEvents, site, stored.peer) ?? verdictHere(destinationEvents),
    lastEventAt: events.at(-1)!.at,
  };
}

/**
 * A report for a migration whose gateway died between its last event and its last report.
 *
 * @param kept the last one that was kept before
 */
export function reportOfPast(
  past: PastMigration,
  site: string,
  clock: Clock,
  kept: MigrationReport | null,
): MigrationReport {
  const { stored, epoch } = past;
  if (stored.side === "destination") {
    const state = replayDestination(past.destinationEvents);
    return destinationReport({
      stored,
      site,
      state,
      epoch,
      sourceReport: null,
      partialCopies: partialCopies(past.destinationEvents),
    });
  }
  const state = replaySource(past.sourceEvents);
  const draft = new ReportDraft(
    { id: stored.id, guest: stored.guestId, from: site, to: stored.peer },
    migrationOptions.parse(stored.options),
    clock,
    Date.parse(stored.createdAt),
  );
  if (kept) draft.resumeFrom(kept);
  draft.epoch = state.kind === "completed" ? epoch + 1 : epoch;
  draft.endedAtWallMs = Date.parse(past.lastEventAt);
  if (state.kind === "completed") {
    draft.owner = stored.peer;
    draft.downtimeMs = state.downtimeMs;
  }
  return draft.render(state, false, {
    state: "down",
    path: () => NO_PATH,
    wireBytes: { memory: 0, disk: 0, control: 0, total: 0 },
  });
}

function verdictOf(events: readonly SourceEvent[], site: string, peer: string): Verdict | null {
  const found = events.findLast((event) => event.kind === "adjudicated");
  if (!found) return null;
  const { epoch, by, reason } = found;
  return { epoch, by, reason, owner: found.owner === "source" ? site : peer };
}

function verdictHere(events: readonly DestinationEvent[]): Verdict | null {
  const found = events.findLast((event) => event.kind === "adjudicated");
  if (!found) return null;
  const { epoch, by, reason, owner } = found;
  return { epoch, by, reason, owner };
}
