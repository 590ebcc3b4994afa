import type { Clock } from "../core/clock.ts";
import type { PeerLink } from "../link/peer_link.ts";
import {
  destinationEnded,
  type DestinationEvent,
  replayDestination,
} from "../migration/destination/state.ts";
import type { SourceActor } from "../migration/source/actor.ts";
import { replaySource, sourceEnded, type SourceEvent } from "../migration/source/state.ts";
import type { ToServe } from "./actors.ts";
import { lazyGuest } from "./lazy_guest.ts";
import type { MigrationDeps } from "./migration_deps.ts";
import { type PastMigration, readPast } from "./past.ts";
import type { Arrival, RunningMigrations } from "./running.ts";

/** Time that one machine may take to be given back before the gateway's start goes on without it. */
const RESTORE_TIMEOUT_MS = 10_000;

export interface RestoringDeps extends MigrationDeps {
  readonly running: RunningMigrations;
  readonly departure: (move: ToServe<SourceEvent>) => SourceActor;
  readonly arrival: (move: ToServe<DestinationEvent> & { stored: Arrival["stored"] }) => Arrival;
  /** What has been begun goes on to its end beside everything else. */
  readonly untilEnd: (id: string, procedure: Promise<void>) => void;
  /** An arrival's actor opens its channel before the source's first frame: nobody else would hear that. */
  readonly listen: (link: PeerLink, id: string) => void;
  /** There is something new to show of an arrival. */
  readonly changed: (id: string) => void;
  /** The owner record says that this guest runs here. */
  readonly runsHere: (guestId: string) => void;
}

/**
 * First act after a restart, before link and API: machines that this site may run, run (design,
 * rule 5). What needs the peer goes on by itself once its link is up.
 */
export async function restoreMigrations(deps: RestoringDeps): Promise<void> {
  const { ledger, site } = deps;
  for (const { id } of ledger.migrations()) {
    const past = readPast(ledger, id, site)!;
    if (past.stored.side === "source") await restoreDeparture(deps, past);
    else await restoreArrival(deps, past);
  }
}

async function restoreDeparture(deps: RestoringDeps, past: PastMigration): Promise<void> {
  const { guests, peers, running, clock, untilEnd } = deps;
  const { stored, verdict, epoch, sourceEvents: events } = past;
  const state = replaySource(events);
  const entry = guests.find(stored.guestId);
  if (!entry || (sourceEnded(state) && !verdict)) return;
  const link = await peers.linkOrOrphan(stored.peer);
  const guest = lazyGuest(entry.definition.kind, () => guests.machine(stored.guestId));
  const actor = deps.departure({ stored, guest, link, epoch, events });
  if (sourceEnded(state)) return untilEnd(stored.id, actor.resumeVerdict(verdict!));
  running.add({ side: "source", stored, actor });
  untilEnd(stored.id, actor.resume(past.notes, verdict));
  // Only an undo must be complete before anything else. A doubt waits for the peer.
  await awhile(clock, actor.whenSettledHere());
}

async function restoreArrival(deps: RestoringDeps, past: PastMigration): Promise<void> {
  const { guests, peers, ledger, site, clock } = deps;
  const { stored, epoch, verdict, destinationEvents: events } = past;
  const entry = guests.find(stored.guestId);
  if (!entry) return;
  const state = replayDestination(events);
  if (state.kind === "running") {
    const record = ledger.ownership(stored.guestId);
    if (record?.owner === site && record.migrationId === stored.id) deps.runsHere(entry.id);
  }
  if (destinationEnded(state) && !verdict) return;
  const link = await peers.linkOrOrphan(stored.peer);
  const started = state.kind === "owning" || state.kind === "running" || state.kind === "conflict";
  const guest = lazyGuest(
    entry.definition.kind,
    () => guests.arrivedMachine(stored.guestId, started),
  );
  const { actor } = deps.arrival({ stored, guest, link, epoch, events });
  deps.listen(link, stored.id);
  const resumed = actor.resume(past.notes).then(() => deps.changed(stored.id));
  // What an operator decided here comes after what a restart does by itself.
  const decided = resumed.then(() => verdict ? actor.carryOut(verdict) : undefined);
  decided.catch((error) => deps.log("error", `${stored.id}: ${error.stack ?? error}`));
  await awhile(clock, resumed);
}

/** A machine that does not answer is taken care of beside: others must not wait for it. */
async function awhile(clock: Pick<Clock, "sleep">, work: Promise<void>): Promise<void> {
  const waiting = new AbortController();
  const late = clock.sleep(RESTORE_TIMEOUT_MS, waiting.signal).catch(() => {});
  await Promise.race([work.catch(() => {}), late]);
  waiting.abort();
}
