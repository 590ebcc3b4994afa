import { DEVICE_STATE_WIRE_BYTES } from "../forecast.ts";
import { pauseRecoveryMs } from "../loss_recovery.ts";
import type { GateCheck } from "../gate.ts";
import type { Measurement } from "../measurement.ts";
import type { World } from "./world.ts";

/** Steps of a pause, ms. */
const STEP_MS = 10;
/** From the word until the machine stands at its gate, ms. */
const RELEASE_MS = 110;
/** A link silent for the budget, and at least this long, undoes a switch; ms. */
const SILENCE_MS_MIN = 1_000;
/** The work of a hand-over is off by up to this share, both ways. */
const WORK_SPREAD = 0.2;

/** How a switch ended. */
export type PauseEnd = {
  readonly kind: "switched";
  /** From the pause until the machine runs at the destination. */
  readonly downtimeMs: number;
  /** Without the path's own delay, and without the time in which the link was dark. */
  readonly budgetedMs: number;
  readonly darkMs: number;
  /** What the gate found. */
  readonly atGateMs: number;
} | {
  readonly kind: "undone";
  /** The pause that the gate found; null: the link was silent. */
  readonly foundMs: number | null;
};

/**
 * From the release to the hand-over or back, as the source does it: the last disk round, the check at
 * the gate, the last pages and the device state.
 *
 * @param check the last one, at the gate
 * @param budgetMs null: nothing but silence undoes it
 * @param pausedAtMs of a machine that stood still before; null: it pauses now
 */
export function pause(
  world: World,
  check: (measured: Measurement, pausedMs: number) => GateCheck,
  budgetMs: number | null,
  pausedAtMs: number | null,
): PauseEnd {
  const beforeBytes = world.path.sentBytes;
  for (let ms = 0; ms < RELEASE_MS; ms += STEP_MS) world.step(STEP_MS);
  const sentBeforeBytesPerSecond = (world.path.sentBytes - beforeBytes) * 1000 / RELEASE_MS;
  const fromMs = pausedAtMs ?? world.nowMs;
  world.isPaused = true;
  world.memory.sync();
  world.disks.beginRound();
  let darkMs = 0;
  let deviceBytes = DEVICE_STATE_WIRE_BYTES;
  let atGateMs: number | null = null;
  const sentBytes = world.path.sentBytes;
  for (;;) {
    if (atGateMs === null && world.disks.remainingWireBytes < 1) {
      const { foundMs, isOver } = check(world.measure(), world.nowMs - fromMs);
      atGateMs = foundMs;
      if (budgetMs !== null && isOver) return undo(world, foundMs);
    }
    const isDrained = atGateMs !== null && world.memory.missingWireBytes < 1;
    if (isDrained && deviceBytes <= 0) break;
    if (world.path.darkForMs > Math.max(SILENCE_MS_MIN, budgetMs ?? 0) && pausedAtMs === null) {
      return undo(world, null);
    }
    if (world.path.segment.isDark) darkMs += STEP_MS;
    if (isDrained) deviceBytes -= sendDevice(world, deviceBytes);
    else world.step(STEP_MS);
  }
  const workMs = world.machine.handoverWorkMs *
    (1 + (world.random.nextRatio() * 2 - 1) * WORK_SPREAD);
  // A queue that others keep full is the path's own delay.
  const { queueMs, foreignQueueMs } = world.path;
  const addedMs = world.nowMs - fromMs + queueMs - foreignQueueMs + workMs;
  const { segment: { roundTripMs, bytesPerSecond }, model: { lossRatio } } = world.path;
  // As likely as not: drawn only where it matters, so that other worlds stay as they were.
  const wireBytes = world.path.sentBytes - sentBytes;
  const last = { wireBytes, bytesPerSecond, sentBeforeBytesPerSecond, roundTripMs, lossRatio };
  const recoveryMs = lossRatio === 0
    ? 0
    : pauseRecoveryMs(last, DEVICE_STATE_WIRE_BYTES, workMs, world.random.nextRatio());
  const pathMs = roundTripMs / 2 + foreignQueueMs + recoveryMs;
  return {
    kind: "switched",
    downtimeMs: addedMs + pathMs,
    budgetedMs: addedMs - darkMs,
    darkMs,
    atGateMs: atGateMs!,
  };
}

/** Device state leaves in the world's own steps, as if it were the last of memory. */
function sendDevice(world: World, deviceBytes: number): number {
  const room = world.path.advance(STEP_MS, world.capBytesPerSecond);
  const bytes = Math.min(room, deviceBytes);
  world.nowMs += STEP_MS;
  world.path.hand(bytes, STEP_MS);
  return bytes;
}

/** The machine runs on, with a stream from the beginning and its disks at full speed. */
function undo(world: World, foundMs: number | null): PauseEnd {
  world.isPaused = false;
  world.endStream();
  world.diskCapBytesPerSecond = null;
  world.memory.start();
  return { kind: "undone", foundMs };
}
