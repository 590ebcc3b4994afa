import { withToken } from "../fencing.ts";
import type { PageRanges } from "../../codec/memory_encoder.ts";
import { encodeReset } from "../memory_reset.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { startMemory } from "./copy.ts";
import type { MemoryPump } from "./memory.ts";
import type { Move } from "./move.ts";

/** What comes out wrong after so many repairs is not a page or two: nothing there is relied on. */
const TARGETED_REPAIRS = 2;
const EVERY_PAGE: PageRanges = [0, Infinity];

/**
 * Sends the pages again that the destination got wrong. The machine's stream begins anew, so every
 * page is looked at again: those that never arrived travel whole, the others are as the destination
 * has them and stay away.
 */
export async function repairMemory(move: Move): Promise<void> {
  const pump = move.pump!;
  move.pump = null;
  await withToken(move.deps, move.token, () => pump.source.cancel());
  pump.discard();
  await restartMemory(move, pump);
}

/** A new stream in place of one that was given up, behind all of its frames. */
export async function restartMemory(move: Move, given: MemoryPump): Promise<void> {
  const { draft } = move.deps;
  // A batch may still wait for the link although its stream is over. All of them are numbered before
  // the reset: behind it they would reach the machine as pages of the new stream, which has not begun.
  await move.interrupt.race(given.silent);
  const number = move.repairNumber;
  if (move.sent.repairIsDue) {
    draft.repairs++;
    const missing = move.sent.takeMissing();
    const everything = number > TARGETED_REPAIRS;
    for (const ranges of everything ? [EVERY_PAGE] : missing) move.encoder!.forget(ranges);
    const frames = missing.length;
    draft.decide("repair", "the destination got other pages than were sent", {
      frames,
      everything: Number(everything),
    });
  }
  move.names?.frames.memory.streamBegins();
  await move.interrupt.race(
    move.memoryChannel!.send(FRAME_TYPES.memoryReset, encodeReset(number)),
  );
  await startMemory(move);
}
