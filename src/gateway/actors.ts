import type { Guest } from "../guest/guest.ts";
import type { StoredMigration } from "../ledger/ledger.ts";
import type { PeerLink } from "../link/peer_link.ts";
import { DestinationActor } from "../migration/destination/actor.ts";
import {
  type DestinationEvent,
  nextDestinationState,
  replayDestination,
} from "../migration/destination/state.ts";
import { Journal } from "../migration/journal.ts";
import type { MigrationReport } from "../migration/report.ts";
import { SourceActor } from "../migration/source/actor.ts";
import { ReportDraft } from "../migration/source/draft.ts";
import { nextSourceState, replaySource, type SourceEvent } from "../migration/source/state.ts";
import { keptReport, keptReports } from "./kept_reports.ts";
import type { MigrationDeps } from "./migration_deps.ts";
import { pageMemory } from "./page_memory.ts";
import { optionsOf } from "./past.ts";
import { destinationFate, redirectPort, sourceFate } from "./redirecting.ts";

/** One migration for whose end at this site an actor is to be made. */
export interface ToServe<Event> {
  /** Without `createdAt` where the ledger does not have it yet. */
  readonly stored: Omit<StoredMigration, "createdAt"> & { readonly createdAt?: string };
  readonly guest: Guest;
  readonly link: PeerLink;
  /** Of the guest when it began (source), or that its hand-over carries (destination). */
  readonly epoch: number;
  /** What the ledger has of it; nothing of a new one. */
  readonly events: readonly Event[];
}

/** The source end of a move. @param tell is called with each new report */
export function sourceActor(
  deps: MigrationDeps,
  { stored, guest, link, epoch, events }: ToServe<SourceEvent>,
  tell: (report: MigrationReport) => void,
): SourceActor {
  const { ledger, clock, site, log, scratchDirectory, sealer, contents } = deps;
  const options = optionsOf(stored);
  const keep = keptReports(ledger, clock, log);
  const identity = { id: stored.id, guest: stored.guestId, from: site, to: stored.peer };
  const started = stored.createdAt === undefined ? undefined : Date.parse(stored.createdAt);
  const draft = new ReportDraft(identity, options, clock, started);
  draft.epoch = epoch;
  const before = events.length === 0 ? null : keptReport(ledger, stored.id, () => ({ ...options }));
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
    ownership: () => ledger.ownership(stored.guestId),
    journal: new Journal(
      ledger,
      stored.id,
      replaySource(events),
      nextSourceState,
      (state) => deps.redirects.follow(stored.id, "old", sourceFate(state)),
    ),
    redirect: redirectPort(deps, stored, "old"),
    draft,
    scratchDirectory: `${scratchDirectory}/${stored.id}`,
    pages: pageMemory(deps.pages, scratchDirectory, deps.newId),
    sentHints: contents.sentTo(stored.peer),
    sealer,
    kept: deps.kept.of(stored.guestId, stored.peer),
    images: deps.images,
    report: (report) => {
      keep(report);
      tell(report);
    },
    log,
  });
}

/**
 * The destination end of a move.
 *
 * @param changed is called when there is something new to show
 * @param listen hears the source where the control channel had to be opened anew
 */
export function destinationActor(
  deps: MigrationDeps,
  { stored, guest, link, epoch, events }: ToServe<DestinationEvent>,
  changed: () => void,
  listen: () => void,
): DestinationActor {
  const { ledger, clock, site, log, scratchDirectory, contents, peers } = deps;
  return new DestinationActor({
    id: stored.id,
    site,
    peer: stored.peer,
    guestId: stored.guestId,
    guest,
    link,
    clock,
    options: optionsOf(stored),
    epoch,
    journal: new Journal(
      ledger,
      stored.id,
      replayDestination(events),
      nextDestinationState,
      (state) => deps.redirects.follow(stored.id, "new", destinationFate(state)),
    ),
    redirect: redirectPort(deps, stored, "new"),
    ownership: () => ledger.ownership(stored.guestId),
    scratchDirectory: `${scratchDirectory}/${stored.id}`,
    pages: pageMemory(deps.pages, scratchDirectory, deps.newId),
    store: contents.ofMove(stored.id, peers.fingerprint(stored.peer)),
    kept: deps.kept.of(stored.guestId, stored.peer),
    images: deps.images,
    listen,
    changed,
    log,
  });
}
