import { HANDOVER_WORK_MS } from "../control/forecast.ts";
import type { Measurement, MemoryMeasurement } from "../control/measurement.ts";
import { DirtyRate } from "./dirty_rate.ts";
import type { Move } from "./move.ts";

/** Takes the measurements of one move that its controller decides by. */
export class Gauge {
  readonly #diskRates = new Map<string, DirtyRate>();

  constructor(private readonly move: Move) {}

  /** Everything at this moment. @throws {GatewayError} `guest_gone`, `guest_unreachable` */
  async measure(): Promise<Measurement> {
    const { move } = this;
    const { link, draft, clock, guest } = move.deps;
    const [memory, dirty] = await Promise.all([this.#memory(), guest.source.dirtyDisks()]);
    const nowMs = clock.nowMs();
    const remaining = draft.diskRemaining();
    return {
      nowMs,
      wallMs: clock.wallMs(),
      stage: memory !== null ? "memory" : move.disksInStep ? "disks" : "firstRound",
      memory,
      memoryTotalBytes: move.description!.memoryBytes,
      disks: dirty.map(({ diskId, bytes }) => ({
        id: diskId,
        dirtyBytes: bytes,
        remainingBytes: remaining.get(diskId) ?? 0,
        dirtyBytesPerSecond: this.#diskRate(diskId, bytes, nowMs),
      })),
      diskWireRatio: draft.disk.ratio,
      path: link.path(),
      isLinkUp: link.state === "up",
      sentWireBytes: draft.memory.payloadBytes + draft.disk.payloadBytes,
      appliedWireBytes: draft.memory.payloadBytes + draft.disk.payloadBytes - inFlight(move),
      isRunning: move.wasRunning,
      canHold: move.description!.canHoldSwitchover,
      canThrottleDisks: move.canThrottleDisks,
      canThrottleCpu: move.canThrottleCpu,
      handoverWorkMs: HANDOVER_WORK_MS,
    };
  }

  async #memory(): Promise<MemoryMeasurement | null> {
    const { pump, deps: { draft } } = this.move;
    if (pump === null) return null;
    const progress = await pump.source.progress();
    draft.noteMemory({ ...progress, remainingBytes: progress.remainingBytes + pump.parkedBytes });
    return {
      totalBytes: progress.totalBytes,
      remainingBytes: progress.remainingBytes,
      // The reference machine counts as it writes; QEMU looks at its bitmap once a pass.
      isCountedLive: this.move.deps.guest.kind === "reference",
      pass: progress.pass,
      dirtyBytesPerSecond: progress.dirtyBytesPerSecond,
      parkedWireBytes: parkedWireBytes(this.move),
      readBytes: pump.readBytes,
      wireRatio: draft.memory.ratio,
    };
  }

  #diskRate(id: string, dirtyBytes: number, nowMs: number): number | null {
    let rate = this.#diskRates.get(id);
    if (rate === undefined) this.#diskRates.set(id, rate = new DirtyRate());
    rate.take(dirtyBytes, nowMs);
    return rate.bytesPerSecond;
  }
}

/**
 * What was read from the machine and is not at the destination. What the destination has still to
 * give to its machine counts as if it had to cross.
 */
function parkedWireBytes(move: Move): number {
  const { pump, deps: { draft } } = move;
  if (pump === null) return inFlight(move);
  // Sealing: told apart from what is unchanged, but not packed.
  return inFlight(move) + pump.parkedBytes * draft.memory.changedRatio + pump.sealingBytes +
    pump.keptInFlightBytes;
}

function inFlight({ memoryChannel, diskChannel }: Move): number {
  return (memoryChannel?.unacknowledgedBytes ?? 0) + (diskChannel?.unacknowledgedBytes ?? 0);
}
