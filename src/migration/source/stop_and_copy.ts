import { diskRound, startMemory } from "./copy.ts";
import type { Move } from "./move.ts";
import { Steering } from "./steering.ts";
import { giveAway, notePause } from "./switchover.ts";
import { tickOf } from "./tick.ts";

/** The machine is paused first; then everything is copied once. */
export async function stopAndCopy(move: Move): Promise<void> {
  const { guest, draft, journal, clock } = move.deps;
  const steering = new Steering(move);
  journal.write({ kind: "switchBegan" });
  await move.deps.redirect?.arm();
  await guest.source.pause();
  draft.copyingPaused = true;
  notePause(move, clock.nowMs());
  draft.phase = "machine paused, copying the disks";
  await steering.beside(diskRound(move));
  draft.phase = "machine paused, copying memory";
  await startMemory(move);
  while (move.holdRequested) {
    move.holding = true;
    draft.phase = "machine paused, parked";
    move.publish(false);
    await tickOf(move);
  }
  move.holding = false;
  draft.copyingPaused = false;
  await steering.beside(move.whilePumping(move.pump!.source.pauseAtGate()));
  await giveAway(move);
}
