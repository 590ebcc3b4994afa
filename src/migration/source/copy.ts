import { totalBytes } from "../../core/extents.ts";
import type { DiskRound } from "../../guest/guest.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { SwitchMeasurement } from "../convergence.ts";
import { sendDiskRound } from "./disks.ts";
import { MemoryPump } from "./memory.ts";
import type { Move } from "./move.ts";

/** From the first touch of the machine until both ends are ready for its bytes. */
export async function begin(move: Move): Promise<void> {
  const { id, journal, guest, draft, link } = move.deps;
  move.interrupt.check();
  journal.write({ kind: "began" });
  draft.phase = "preparing both machines";
  move.publish();
  await move.courier.say({ type: "begin" });
  await guest.source.begin(move.moveOptions());
  await move.interrupt.race(move.changes.until(() => move.courier.prepared));
  move.memoryChannel = link.channel(id, "memory");
  move.diskChannel = link.channel(id, "disk");
}

/** Starts a memory stream into the memory channel. */
export async function startMemory(move: Move): Promise<void> {
  const { guest, draft } = move.deps;
  const source = await move.interrupt.race(guest.source.startMemory());
  draft.beginRound("memory", move.description?.memoryBytes ?? null);
  const pump = new MemoryPump(source, move.memoryChannel!, draft.memory, move.interrupt.signal);
  pump.drained.catch((error) => {
    // A stream that was given up for another one ends as it likes.
    if (move.pump === pump) move.interrupt.raise(error);
  });
  move.pump = pump;
}

/**
 * One round of all disks. A round while the machine runs ends when the destination has recorded it,
 * and only then does its bitmap go; the `final` one, with the machine paused, waits for nothing.
 */
export async function diskRound(move: Move, kind: "disk" | "final"): Promise<DiskRound[]> {
  const { guest, draft, clock } = move.deps;
  const rounds = await move.interrupt.race(guest.source.beginDiskRound());
  const number = ++move.round;
  const planned = rounds.map((round) => ({
    id: round.diskId,
    bytes: totalBytes(round.extents, "data"),
  }));
  for (const { id, bytes } of planned) draft.diskPlanned(id, bytes, number === 1);
  const report = draft.beginRound(kind, planned.reduce((sum, { bytes }) => sum + bytes, 0));
  const startedMs = clock.nowMs();
  const index = (id: string) => move.description!.disks.findIndex((disk) => disk.id === id);
  const channel = move.diskChannel!;
  report.sentBytes = await move.interrupt.race(
    sendDiskRound(rounds, index, channel, draft.disk, {
      sent: (id, extents) => {
        draft.diskSent(id, extents);
        move.publish(false);
      },
    }, move.interrupt.signal),
  );
  if (kind === "disk") {
    const end = new TextEncoder().encode(JSON.stringify({ round: number }));
    await move.interrupt.race(channel.send(FRAME_TYPES.diskRoundEnd, end));
    await move.interrupt.race(move.changes.until(() => move.courier.recordedRound >= number));
    for (const { id, bytes } of planned) draft.diskVerified(id, bytes);
    await Promise.all(rounds.map((round) => round.finish(true)));
    report.remainingBytes = await guest.source.dirtyDiskBytes();
  }
  report.durationMs = Math.round(clock.nowMs() - startedMs);
  move.publish(false);
  return rounds;
}

/** What the decision to switch is made from, at this moment. */
export async function measure(move: Move): Promise<SwitchMeasurement> {
  const { link, draft, guest, options } = move.deps;
  const [progress, diskDirtyBytes] = await Promise.all([
    move.pump!.source.progress(),
    guest.source.dirtyDiskBytes(),
  ]);
  draft.noteMemory(progress);
  const path = link.path();
  return {
    memoryRemainingBytes: progress.remainingBytes,
    firstPass: progress.pass <= 1,
    parkedWireBytes: move.memoryChannel!.unacknowledgedBytes +
      move.diskChannel!.unacknowledgedBytes,
    diskDirtyBytes,
    memoryWireRatio: draft.memory.ratio,
    diskWireRatio: draft.disk.ratio,
    goodputBytesPerSecond: lowest(path.bottleneckBytesPerSecond, options.rate),
    roundTripMs: path.roundTripMs,
  };
}

function lowest(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.min(a, b);
}
