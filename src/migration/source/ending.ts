import { GatewayError, toGatewayError } from "../../core/errors.ts";
import { withToken } from "../fencing.ts";
import type { KeptAfter } from "../kept_images.ts";
import { SEEDED } from "../messages.ts";
import { onlyLedger, persistently } from "../persistently.ts";
import { Cancelled, type Move, Seeded } from "./move.ts";
import { decideOutcome } from "./outcome.ts";
import { trackImages } from "../tracked_images.ts";
import { endError, sourceEnded, type UndoneEnd } from "./state.ts";

/** How often the peer is asked for the end of a hand-over that is in doubt. */
const QUERY_INTERVAL_MS = 1000;

/**
 * Every failure before the hand-over leads here and back to the machine running at the source; after
 * it only the peer's answer counts, so it is logged and nothing else.
 */
export async function fail(move: Move, error: unknown): Promise<void> {
  const { journal, log, id } = move.deps;
  const { state } = move;
  if (state.kind === "handedOver" || state.kind === "retiring") {
    log("error", `${id}: after the hand-over: ${toGatewayError(error).message}`);
    return;
  }
  if (sourceEnded(state) || state.kind === "conflict") return;
  const end = endOf(error);
  if (end.kind === "failed") log("warn", `${id}: ${end.error.code}: ${end.error.message}`);
  const begun = () => {
    if (move.state.kind !== "undoing") journal.write({ kind: "undoBegan", end });
  };
  try {
    begun();
  } catch (writeError) {
    // No hand-over stands in the ledger, so giving the machine back needs no record to be safe: a
    // restart would do the same. Only the end of the move waits until it can be written.
    log("error", `${id}: ${toGatewayError(writeError).message}`);
  }
  await restoreMachine(move);
  await recorded(move, () => {
    begun();
    journal.write({ kind: "undone" });
  });
}

function endOf(error: unknown): UndoneEnd {
  if (error instanceof Seeded) return { kind: "seeded" };
  if (error instanceof Cancelled) return { kind: "cancelled" };
  return { kind: "failed", error: toGatewayError(error).toJSON() };
}

/** Gives the machine back to this site and records the end. State: `undoing`. */
export async function undo(move: Move): Promise<void> {
  await restoreMachine(move);
  await recorded(move, () => move.deps.journal.write({ kind: "undone" }));
}

async function restoreMachine(move: Move): Promise<void> {
  const { guest, draft, clock, log, id } = move.deps;
  draft.phase = "giving the machine back to this site";
  move.interrupt.raise(new Cancelled());
  await persistently(clock, async () => {
    await withToken(move.deps, move.token, async () => {
      await move.pump?.source.cancel();
      await guest.source.restore(move.notes, move.moveOptions());
    });
  }, (failure) => {
    if (failure.code === "guest_gone" || failure.code === "epoch_fenced") throw failure;
    log("error", `${id}: cannot give the machine back yet: ${failure.message}`);
    draft.phase = `giving the machine back: ${failure.message}`;
    move.publish();
  }).catch((failure) => log("warn", `${id}: ${toGatewayError(failure).message}`));
  const runState = await guest.runState().catch(() => "gone" as const);
  draft.runState = runState === "running" || runState === "gone" ? runState : "paused";
  draft.endedAtWallMs = clock.wallMs();
  draft.phase = "ended";
}

/** The machine is safe, only the record is missing: a ledger that cannot be written delays it. */
async function recorded(move: Move, write: () => void): Promise<void> {
  const tell = (error: GatewayError) => {
    move.deps.draft.phase = error.message;
    move.publish();
  };
  await persistently(move.deps.clock, write, onlyLedger(tell));
  move.changes.notify();
}

/** From the hand-over, or from an undone move, to the end. */
export async function finish(move: Move): Promise<void> {
  const { id, link } = move.deps;
  while (move.state.kind === "handedOver" || move.state.kind === "conflict") await settle(move);
  if (move.state.kind === "undoing") await undo(move);
  if (move.state.kind === "retiring") await retire(move);
  // Before the last words: a next move may begin while they are on their way.
  move.letGoOfMemory(keptAfter(move));
  const { kind } = move.state;
  if (kind === "failed" || kind === "cancelled" || kind === "seeded") {
    const error = endError(move.state);
    const reason = error?.message ?? (kind === "seeded" ? SEEDED : kind);
    await move.courier.say({ type: "cancel", reason, error }).catch(() => {});
  }
  move.publish();
  if (move.verdict) {
    await deliverVerdict(move);
    await lastFramesArrived(move);
  }
  await move.courier.farewell();
  move.unsubscribe();
  link.setMigrationRateLimit(id, null);
  link.closeChannels(id);
}

/** What the memory is kept for: nothing where there is no room, or an operator decided unseen. */
function keptAfter({ state, verdict, decidedByPeer, deps }: Move): KeptAfter | null {
  const isFull = state.kind === "failed" && state.error.code === "image_io";
  if (isFull) deps.kept.noRoom();
  if (isFull || verdict !== null || decidedByPeer) return null;
  return state.kind === "completed" ? "departure" : "attempt";
}

/** A peer that was given the machine in a doubt may still need frames that wait here. */
async function lastFramesArrived(move: Move): Promise<void> {
  if (move.verdict?.owner !== move.deps.peer) return;
  const channels = [move.memoryChannel, move.diskChannel];
  await Promise.allSettled(channels.map((each) => each?.whenAppliedByPeer(each.lastSent)));
}

/** Tells the peer an operator's verdict and notes that it knows. */
export async function deliverVerdict(move: Move): Promise<void> {
  const { id, guestId, link } = move.deps;
  await move.courier.deliverVerdict(guestId, move.verdict!, () => link.closeChannels(id));
  move.deps.journal.write({ kind: "noted", notes: { ...move.notes, verdictDelivered: true } });
}

/** Waits for what ends a hand-over: the destination's answer, or an operator. */
async function settle(move: Move): Promise<void> {
  const { journal, clock, link, guestId, id, peer, site, draft } = move.deps;
  const roundTripMs = link.path().roundTripMs ?? 0;
  const downtimeMs = move.pausedAtMs === null
    ? null
    : Math.max(0, Math.round(clock.nowMs() - move.pausedAtMs - roundTripMs / 2));
  const parties = { guestId, migrationId: id, site, peer };
  const decided = decideOutcome(move.state, move.courier.outcome, downtimeMs, parties);
  if (decided) {
    await recorded(move, () => journal.write(decided.event, decided.ownership));
    if (decided.event.kind === "ranAtPeer") draft.downtimeMs = decided.event.downtimeMs;
    return;
  }
  const waiting = new AbortController();
  const asked = await Promise.race([
    move.changes.next().then(() => false),
    clock.sleep(QUERY_INTERVAL_MS, waiting.signal).then(() => true, () => false),
  ]);
  waiting.abort();
  if (asked && move.state.kind === "handedOver") {
    const { epoch } = move.state;
    const { framesGone } = move;
    await move.courier.say({ type: "query", guest: guestId, epoch, framesGone }).catch(() => {});
  }
  if (move.courier.problem !== null) draft.phase = move.courier.problem;
  move.publish(false);
}

/** The machine runs at the peer (rule 3g): this one ends, its disks stay. State: `retiring`. */
async function retire(move: Move): Promise<void> {
  const { journal, guest, draft, options, peer, clock, log, id } = move.deps;
  if (move.state.kind !== "retiring") return;
  draft.owner = peer;
  draft.epoch = move.state.epoch;
  draft.downtimeMs ??= move.state.downtimeMs;
  draft.runState = move.wasRunning ? "running" : "paused";
  draft.phase = "ending the machine at the source";
  move.description ??= await guest.describe().catch(() => null);
  draft.leftovers = (move.description?.disks ?? [])
    .flatMap((disk) => disk.readOnly || disk.path === null ? [] : [disk.path]);
  // A machine that an operator gave away unseen may be the last good copy.
  const keep = options.keepSource || move.verdict !== null || move.decidedByPeer;
  // Its disks hold what the destination was given: known again when the machine comes home.
  const images = keep
    ? []
    : await trackImages(move.deps.images, move.description?.disks ?? [], move.planner?.maps ?? []);
  await guest.source.retire(keep).catch((error) => {
    const failure = toGatewayError(error);
    if (failure.code !== "guest_gone") log("warn", `${id}: ${failure.message}`);
  });
  if (await guest.runState().catch(() => null) === "gone") {
    await Promise.all(images.map(({ image, map }) => image.keep(map)));
  }
  draft.endedAtWallMs = clock.wallMs();
  draft.phase = "ended";
  await recorded(move, () => journal.write({ kind: "retired", kept: keep }));
}

/** The failure of a move that a restart of its gateway interrupted before the hand-over. */
export function restartedError(): GatewayError {
  return new GatewayError(
    "gateway_restarted",
    "Cannot go on with the move: this gateway restarted before the hand-over",
    { hint: "The machine runs here; start the move again" },
  );
}
