import { GatewayError } from "../../core/errors.ts";
import type { DiskRound } from "../../guest/guest.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { overBudgetAtGate, predictDowntime } from "../convergence.ts";
import { diskRound, measure, startMemory } from "./copy.ts";
import type { Move } from "./move.ts";

/** A link silent for the downtime budget, and at least this long, undoes a switch. */
const SWITCH_SILENCE_MS_MIN = 1000;
/** How often the link is looked at while the machine stands still. */
const SILENCE_CHECK_MS = 100;

/**
 * Pauses the machine at the gate, fetches the last writes of its disks and gives it away, unless the
 * last check says that the pause would not fit: then it runs on as if nothing had been.
 *
 * @param forced the operator asked for it: the budget does not undo it
 * @returns false where the switch was undone and the copy goes on
 */
export async function trySwitch(move: Move, forced: boolean): Promise<boolean> {
  const { journal, draft, options, clock, link } = move.deps;
  journal.write({ kind: "switchBegan" });
  move.holding = false;
  draft.phase = "pausing the machine";
  const { pausedAtMs } = await move.whilePumping(move.pump!.source.pauseAtGate());
  notePause(move, pausedAtMs);
  const rounds = await guardSilence(move, diskRound(move, "final"));
  const remaining = predictDowntime({ ...await measure(move), diskDirtyBytes: 0 });
  const pausedMs = clock.nowMs() - pausedAtMs;
  const silentMs = link.path().silentMs ?? 0;
  const silent = silentMs > silenceLimitMs(move);
  if (silent || (!forced && overBudgetAtGate(pausedMs, remaining, options.maxDowntimeMs))) {
    const reason = silent
      ? `the link has been silent for ${Math.round(silentMs)} ms`
      : `at the gate the pause would take ${Math.round(pausedMs + remaining.budgetedMs)} ms of ` +
        `the ${options.maxDowntimeMs} ms budget`;
    draft.decide("undo the switch", reason, {
      pausedMs: Math.round(pausedMs),
      transferMs: Math.round(remaining.transferMs),
      silentMs: Math.round(silentMs),
    });
    await undoSwitch(move, rounds, reason);
    return false;
  }
  await giveAway(move);
  // Its bitmaps end with the machine, or stay with one that is kept: nothing is fetched from it.
  await Promise.all(rounds.map((round) => round.finish(true).catch(() => {})));
  return true;
}

/** From the gate to the outcome: design section 3, rule 3 (b) and (c). */
export async function giveAway(move: Move): Promise<void> {
  const { journal, epoch, options, draft, clock } = move.deps;
  const { pump, memoryChannel, diskChannel, pausedAtMs, wasRunning: run } = move;
  draft.phase = "sending the last pages";
  await guardSilence(move, move.whilePumping(Promise.all([pump!.source.finish(), pump!.drained])));
  const lastSequences = { memory: memoryChannel!.lastSent, disk: diskChannel!.lastSent };
  if (options.handover === "confirmed") {
    draft.phase = "waiting until everything is applied";
    const applied = Promise.all([
      memoryChannel!.whenAppliedByPeer(lastSequences.memory),
      diskChannel!.whenAppliedByPeer(lastSequences.disk),
    ]);
    await guardSilence(move, move.interrupt.race(applied));
  }
  move.interrupt.check();
  journal.write({
    kind: "handoverWritten",
    epoch: epoch + 1,
    lastSequences,
    run,
    pausedAtWallMs: pausedAtMs === null ? null : clock.wallMs() - (clock.nowMs() - pausedAtMs),
  });
  // Written counts as sent, whatever happens next: from here only the destination's answer decides.
  draft.phase = "handed over, waiting for the destination";
  await move.courier.say({ type: "handover", epoch: epoch + 1, lastSequences, run });
  move.publish();
}

/** The machine stands still since `pausedAtMs`. */
export function notePause(move: Move, pausedAtMs: number): void {
  const { journal, clock, draft } = move.deps;
  move.pausedAtMs = move.wasRunning ? pausedAtMs : null;
  draft.runState = "paused";
  journal.write({ kind: "paused", atWallMs: clock.wallMs() - (clock.nowMs() - pausedAtMs) });
  move.publish();
}

async function undoSwitch(move: Move, rounds: readonly DiskRound[], reason: string): Promise<void> {
  const { journal, draft } = move.deps;
  const pump = move.pump!;
  move.pump = null;
  await pump.source.cancel();
  await Promise.all(rounds.map((round) => round.finish(false)));
  draft.runState = move.wasRunning ? "running" : "paused";
  move.pausedAtMs = null;
  await pump.drained.catch(() => {});
  journal.write({ kind: "switchUndone", reason });
  draft.phase = "switch undone, copying again";
  move.publish();
  await move.interrupt.race(
    move.memoryChannel!.send(FRAME_TYPES.memoryReset, new Uint8Array(0)),
  );
  await startMemory(move);
}

function silenceLimitMs(move: Move): number {
  return Math.max(SWITCH_SILENCE_MS_MIN, move.deps.options.maxDowntimeMs);
}

/**
 * `promise`, or `link_silent` when the peer is not heard for too long before it settles: with the
 * machine standing still nobody may wait for an outage to end. The whole move is undone then, because
 * what the destination has of the device state cannot be taken back.
 */
async function guardSilence<T>(move: Move, promise: Promise<T>): Promise<T> {
  const { clock, link, peer } = move.deps;
  const limitMs = silenceLimitMs(move);
  const done = new AbortController();
  const watch = async (): Promise<never> => {
    for (;;) {
      await clock.sleep(SILENCE_CHECK_MS, done.signal);
      const { silentMs } = link.path();
      if (silentMs === null || silentMs <= limitMs) continue;
      throw new GatewayError(
        "link_silent",
        `Cannot switch over: ${peer} has been silent for ${Math.round(silentMs)} ms`,
        { hint: "The machine runs at the source; start the move again when the link is back" },
      );
    }
  };
  const watching = watch();
  watching.catch(() => {});
  try {
    return await Promise.race([promise, watching]);
  } finally {
    done.abort();
  }
}
