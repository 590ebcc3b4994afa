import { diskRound, startMemory } from "./copy.ts";
import { type Move, Seeded } from "./move.ts";

const LOOK_MS = 100;

/**
 * Copies the disks and then memory once, while the machine runs on, and gives the machine back as a
 * cancel does: what has arrived stays at the destination for a later move, which sends what differs
 * by then (Quick Eviction, Fernando et al. 2016; VeCycle, Knauth and Fetzer 2015).
 *
 * @throws {Seeded} when all of it is there; what else it throws is a failure of the move
 */
export async function seed(move: Move): Promise<never> {
  const { draft, clock } = move.deps;
  draft.phase = "seeding the disks";
  await diskRound(move);
  draft.phase = "seeding memory";
  await startMemory(move);
  const pump = move.pump!;
  const until = async (isReached: (pass: number) => boolean) => {
    for (;;) {
      const progress = await pump.source.progress();
      draft.noteMemory(progress);
      move.publish(false);
      if (isReached(progress.pass)) return;
      await clock.sleep(LOOK_MS, move.interrupt.signal);
    }
  };
  await move.whilePumping(until((pass) => pass > 1));
  // The pool may never be empty while the machine writes. As much as waits in it now, cold pages
  // first, is what has to leave.
  const leftBytes = draft.memory.rawBytes + pump.parkedBytes;
  await move.whilePumping(
    until(() => pump.parkedBytes === 0 || draft.memory.rawBytes >= leftBytes),
  );
  const channel = move.memoryChannel!;
  await move.whilePumping(channel.whenAppliedByPeer(channel.lastSent));
  draft.decide("seeded", "disks and memory were copied once; the machine stays", {
    wireBytes: move.report().wireBytes.total,
  });
  throw new Seeded();
}
