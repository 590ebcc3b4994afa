import type { DiskRound } from "../../guest/guest.ts";
import type { GateCheck } from "../control/gate.ts";
import { withToken } from "../fencing.ts";
import { Interrupt } from "../interrupt.ts";
import { beginRound, sendRound } from "./copy.ts";
import type { Move } from "./move.ts";
import { restartMemory } from "./repair.ts";
import { RepairAsked, SwitchUndone } from "./switch_undone.ts";

/** A link silent for the downtime budget, and at least this long, undoes a switch. */
const SWITCH_SILENCE_MS_MIN = 1000;
/** How often the link is looked at while the machine stands still. */
const SILENCE_CHECK_MS = 100;

/** Who has the last word at the gate. */
interface GateKeeper {
  /** The machine stands still: a cap on its writes has no ground any more. */
  easeDisks(): Promise<void>;
  checkAtGate(pausedMs: number): Promise<GateCheck>;
}

/** A switch that was undone. */
export interface Undone {
  /** The pause that the gate found, ms of the budget; null where that was not why. */
  readonly foundMs: number | null;
}

/**
 * Pauses the machine at the gate, fetches the last writes of its disks and gives it away, unless the
 * last check says that the pause would not fit: then it runs on as if nothing had been.
 *
 * @param forced the operator asked for it: the budget does not undo it
 * @param gate says whether the pause would fit, with the machine at its gate
 * @returns null when the machine was given away; else the switch was undone and the copy goes on
 */
export async function trySwitch(
  move: Move,
  forced: boolean,
  gate: GateKeeper,
): Promise<Undone | null> {
  const { journal, draft, options, clock } = move.deps;
  journal.write({ kind: "switchBegan" });
  move.holding = false;
  draft.phase = "pausing the machine";
  await move.deps.redirect?.arm();
  const { pausedAtMs } = await move.whilePumping(move.pump!.source.pauseAtGate());
  notePause(move, pausedAtMs);
  if (move.names !== null) move.names.onlyOffered = true;
  const rounds = await beginRound(move);
  const undoing = watchSilence(move);
  move.undoing = undoing;
  if (move.sent.repairIsDue) undoing.raise(new RepairAsked());
  try {
    const sent = sendRound(move, rounds, "final", undoing.signal);
    // Not before: until it stands still it would write as fast as it can.
    await undoing.race(Promise.all([sent, gate.easeDisks()]));
    const pausedMs = clock.nowMs() - pausedAtMs;
    const found = await gate.checkAtGate(pausedMs);
    if (!forced && found.isOver) {
      const foundMs = Math.round(found.foundMs);
      const reason = `at the gate the pause would take ${foundMs} ms of the ` +
        `${options.maxDowntimeMs} ms budget`;
      draft.decide("undo the switch", reason, {
        pausedMs: Math.round(pausedMs),
        transferMs: Math.round(found.rest.transferMs),
      });
      await undoSwitch(move, rounds, reason);
      return { foundMs };
    }
    await giveAway(move, undoing);
  } catch (error) {
    if (!(error instanceof SwitchUndone)) throw error;
    draft.decide("undo the switch", error.message, error.numbers);
    await undoSwitch(move, rounds, error.message);
    return { foundMs: null };
  } finally {
    move.undoing = null;
    undoing.raise(new LinkSilent(0));
  }
  // Its bitmaps end with the machine, or stay with one that is kept: nothing is fetched from it.
  await Promise.all(rounds.map((round) => round.finish(true).catch(() => {})));
  return null;
}

/**
 * From the gate to the outcome: design section 3, rule 3 (b) and (c).
 *
 * @param undone raised when the switch must not come to its end any more
 */
export async function giveAway(move: Move, undone = new Interrupt()): Promise<void> {
  const { journal, epoch, options, draft, clock } = move.deps;
  const { pump, memoryChannel, diskChannel, pausedAtMs, wasRunning: run } = move;
  draft.phase = "sending the last pages";
  const given = Promise.all([pump!.source.finish(), pump!.drained, move.redirected]);
  await undone.race(move.whilePumping(given));
  const lastSequences = { memory: memoryChannel!.lastSent, disk: diskChannel!.lastSent };
  // Where pages came out wrong before, the last ones are seen to be right: after the hand-over the
  // destination could only refuse.
  if (options.handover === "confirmed" || move.repairNumber > 0) {
    draft.phase = "waiting until everything is applied";
    const applied = Promise.all([
      memoryChannel!.whenAppliedByPeer(lastSequences.memory),
      diskChannel!.whenAppliedByPeer(lastSequences.disk),
    ]);
    await undone.race(move.interrupt.race(applied));
  }
  move.interrupt.check();
  undone.check();
  // Only the stream that gave the machine away: what an undone one left out may have come since.
  draft.memory.leftOut(pump!.leftOutBytes);
  journal.write({
    kind: "handoverWritten",
    epoch: epoch + 1,
    lastSequences,
    run,
    pausedAtWallMs: pausedAtMs === null ? null : clock.wallMs() - (clock.nowMs() - pausedAtMs),
  });
  // Written counts as sent, whatever happens next: from here only the destination's answer decides.
  draft.phase = "handed over, waiting for the destination";
  try {
    await move.courier.say({ type: "handover", epoch: epoch + 1, lastSequences, run });
  } catch (error) {
    // It was never numbered, so it can never arrive: the destination may refuse at once.
    move.framesGone = true;
    throw error;
  }
  move.publish();
}

/** The machine stands still since `pausedAtMs`. */
export function notePause(move: Move, pausedAtMs: number): void {
  const { journal, clock, draft } = move.deps;
  move.pausedAtMs = move.wasRunning ? pausedAtMs : null;
  draft.runState = "paused";
  journal.write({ kind: "paused", atWallMs: clock.wallMs() - (clock.nowMs() - pausedAtMs) });
  move.redirected = move.deps.redirect?.switchOver() ?? Promise.resolve();
  // Whoever gives the machine away waits for it; one that is given back does not ask.
  move.redirected.catch(() => {});
  move.publish();
}

/** The machine runs again, whatever the link does; then the copy goes on from where it was. */
async function undoSwitch(move: Move, rounds: readonly DiskRound[], reason: string): Promise<void> {
  const { journal, draft, guest } = move.deps;
  const pump = move.pump!;
  if (move.names !== null) move.names.onlyOffered = false;
  move.pump = null;
  await withToken(move.deps, move.token, () => pump.source.cancel());
  pump.discard();
  // It may have given its whole state away already; without a hand-over that means nothing.
  if (await guest.runState() === "postmigrate") {
    await withToken(move.deps, move.token, () => guest.source.resume());
  }
  draft.runState = move.wasRunning ? "running" : "paused";
  move.pausedAtMs = null;
  journal.write({ kind: "switchUndone", reason });
  move.deps.redirect?.switchUndone();
  draft.phase = "switch undone, copying again";
  move.publish();
  await Promise.all(rounds.map((round) => round.finish(false)));
  await restartMemory(move, pump);
}

class LinkSilent extends SwitchUndone {
  constructor(silentMs: number) {
    super(`the link has been silent for ${silentMs} ms`, { silentMs });
  }
}

/** True while the peer is not heard for longer than a pause may last. */
export function isSilent(move: Move): boolean {
  const { link, options } = move.deps;
  const { silentMs } = link.path();
  return silentMs !== null && silentMs > Math.max(SWITCH_SILENCE_MS_MIN, options.maxDowntimeMs);
}

/**
 * Raised when the peer is not heard for too long: with the machine standing still nobody may wait
 * for an outage to end. A machine that was found paused has the time. Raise it to end the watch.
 */
function watchSilence(move: Move): Interrupt {
  const { clock, link } = move.deps;
  const silence = new Interrupt();
  const watch = async () => {
    while (!silence.raised) {
      if (isSilent(move)) silence.raise(new LinkSilent(Math.round(link.path().silentMs!)));
      else await clock.sleep(SILENCE_CHECK_MS, silence.signal);
    }
  };
  if (move.wasRunning) watch().catch(() => {});
  return silence;
}
