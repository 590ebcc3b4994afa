import { createMemoryEncoder, type MemoryEncoder } from "../../codec/memory_encoder.ts";
import { TECHNIQUES } from "../../codec/techniques.ts";
import { totalBytes } from "../../core/extents.ts";
import { dirtyBytes } from "../dirty_disks.ts";
import type { DiskRound, GuestDescription } from "../../guest/guest.ts";
import { UNIT_BYTES } from "../../image/content_name.ts";
import { reachOfOffer } from "../../image/page_memory.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { RoundReport } from "../report.ts";
import { takeDiskOffer } from "./disk_offer.ts";
import { DiskPlanner } from "./disk_planner.ts";
import { sendDiskRound } from "./disks.ts";
import { MemoryPump } from "./memory.ts";
import { hearOffers } from "./offers.ts";
import type { Move } from "./move.ts";

/** From the first touch of the machine until both ends are ready for its bytes. */
export async function begin(move: Move): Promise<void> {
  const { id, journal, guest, draft, link, sealer } = move.deps;
  move.interrupt.check();
  journal.write({ kind: "began" });
  draft.phase = "preparing both machines";
  move.publish();
  const takesOffer = !move.deps.options.disable.includes("warm");
  // Before either machine is touched, and long before the pause.
  await move.interrupt.race(move.deps.redirect?.prepare() ?? Promise.resolve());
  await move.courier.say({ type: "begin", warm: takesOffer });
  if (move.description !== null) sealer.expect?.(contentBytesMax(move.description));
  await guest.source.begin(move.moveOptions());
  move.canThrottleCpu = move.mayThrottleCpu;
  await move.interrupt.race(move.changes.until(() => move.courier.prepared));
  move.memoryChannel = link.channel(id, "memory");
  move.diskChannel = link.channel(id, "disk");
  const sizes = move.description!.disks.map(({ sizeBytes }) => sizeBytes);
  move.planner = new DiskPlanner(sizes, move.deps.options.disable);
  const storeOffered = hearOffers(move, takesOffer);
  await takeDiskOffer(move);
  await storeOffered();
}

function contentBytesMax({ memoryBytes, disks }: GuestDescription): number {
  return disks.reduce((sum, disk) => sum + (disk.allocatedBytes ?? disk.sizeBytes), memoryBytes);
}

/** Starts a memory stream into the memory channel. */
export async function startMemory(move: Move): Promise<void> {
  const { guest, draft, clock, pages, sealer } = move.deps;
  await move.interrupt.race(move.changes.until(() => move.warm?.isComplete ?? true));
  const source = await move.interrupt.race(guest.source.startMemory());
  draft.beginRound("memory", move.description?.memoryBytes ?? null);
  move.encoder ??= createEncoder(move);
  const pump = new MemoryPump(source, {
    encoder: move.encoder,
    sealer,
    channel: move.memoryChannel!,
    meter: draft.memory,
    clock,
    sent: move.sent,
    poolBytesMax: pages.limits.pagePoolBytesMax,
    stop: move.interrupt.signal,
  });
  pump.drained.catch((error) => {
    // A stream that was given up for another one ends as it likes.
    if (move.pump === pump) move.interrupt.raise(error);
  });
  move.pump = pump;
}

function createEncoder({ deps, courier, warm, names }: Move): MemoryEncoder {
  const { image } = courier;
  return createMemoryEncoder({
    memory: image && {
      openImage: (pageBytes) => deps.pages.openImage(pageBytes),
      reachPages: (pageBytes) => reachOfOffer(image, pageBytes),
      names: (pageBytes) => pageBytes === UNIT_BYTES ? names?.frames.memory ?? null : null,
    },
    warm: warm?.release(),
    disable: TECHNIQUES.filter((technique) => deps.options.disable.includes(technique)),
  });
}

/**
 * One round of all disks while the machine runs (or stands still for the whole copy). It ends when
 * the destination has recorded it, and only then does its bitmap go.
 *
 * @param handed called when the link has all of it: its end is a round trip away
 */
export async function diskRound(move: Move, handed: () => void = () => {}): Promise<void> {
  const { guest, draft, clock } = move.deps;
  const startedMs = clock.nowMs();
  const rounds = await beginRound(move);
  const report = await sendRound(move, rounds, "disk");
  const channel = move.diskChannel!;
  const number = move.round;
  const end = new TextEncoder().encode(JSON.stringify({ round: number }));
  await move.interrupt.race(channel.send(FRAME_TYPES.diskRoundEnd, end));
  handed();
  await move.interrupt.race(move.changes.until(() => move.courier.recordedRound >= number));
  for (const { diskId, extents } of rounds) {
    draft.diskVerified(diskId, totalBytes(extents, "data"));
  }
  await Promise.all(rounds.map((round) => round.finish(true)));
  report.remainingBytes = dirtyBytes(await guest.source.dirtyDisks());
  report.durationMs = Math.round(clock.nowMs() - startedMs);
  move.publish(false);
}

/** What was written since the round before: local work, at once with the next round's tracking. */
export async function beginRound(move: Move): Promise<DiskRound[]> {
  const { guest, draft } = move.deps;
  const rounds = await move.interrupt.race(guest.source.beginDiskRound());
  move.round++;
  for (const { diskId, extents } of rounds) {
    draft.diskPlanned(diskId, totalBytes(extents, "data"), move.round === 1);
  }
  return rounds;
}

/**
 * Hands the contents of a round to the link.
 *
 * @param stop ends it early; a batch that the link has taken by then still goes, nothing after it
 */
export async function sendRound(
  move: Move,
  rounds: readonly DiskRound[],
  kind: "disk" | "final",
  stop: AbortSignal = move.interrupt.signal,
): Promise<RoundReport> {
  const { draft, clock, sealer } = move.deps;
  const planned = rounds.reduce((sum, { extents }) => sum + totalBytes(extents, "data"), 0);
  const report = draft.beginRound(kind, planned);
  const startedMs = clock.nowMs();
  const disks = move.description!.disks;
  report.sentBytes = await move.interrupt.race(
    sendDiskRound(rounds, {
      planner: move.planner!,
      disk: (id) => {
        const number = disks.findIndex((disk) => disk.id === id);
        return { number, sizeBytes: disks[number].sizeBytes };
      },
      channel: move.diskChannel!,
      meter: draft.disk,
      passed: (id, dataBytes) => {
        draft.diskPassed(id, dataBytes);
        move.publish(false);
      },
      first: move.round === 1,
      names: move.names?.frames.disk,
      sealer,
      stop: AbortSignal.any([stop, move.interrupt.signal]),
    }),
  );
  report.durationMs = Math.round(clock.nowMs() - startedMs);
  move.publish(false);
  return report;
}
