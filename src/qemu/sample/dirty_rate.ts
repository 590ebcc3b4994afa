import { z } from "zod";
import type { DirtyWindow } from "../../guest/dirty_sample.ts";
import { ask } from "../answers.ts";
import { isAtLeast } from "../describe.ts";
import type { Machine } from "../machine.ts";

const MEBIBYTE = 1024 * 1024;
const GIBIBYTE = 1024 * MEBIBYTE;
const POLL_MS = 20;
/** Samples over all of the memory, and QEMU's bounds for each GiB of it. */
const SAMPLES = 32_768;
const SAMPLES_PER_GIB_MIN = 512;
const SAMPLES_PER_GIB_MAX = 16_384;

const answer = z.object({
  status: z.string(),
  "dirty-rate": z.number().optional(),
  "calc-time": z.number(),
});

/**
 * Memory that changes within about `ms`, by `calc-dirty-rate`: QEMU compares hashes of sampled pages
 * in a thread of its own, the machine is neither stopped nor slowed. Its other ways count what gets
 * dirty; they need KVM, and write-protect all of the memory.
 *
 * QEMU answers in whole MiB/s, cut off, so the half of one is added where there is any. Before 8.2
 * windows are whole seconds.
 */
export async function measureWindow(
  machine: Machine,
  memoryBytes: number,
  ms: number,
  signal?: AbortSignal,
): Promise<DirtyWindow> {
  const fine = isAtLeast(machine.version, 8, 2);
  const unit: Record<string, string> = fine ? { "calc-time-unit": "millisecond" } : {};
  const unitMs = fine ? 1 : 1000;
  // Another measurement, or one of ours that nobody waited for: QEMU has no way to end it.
  await settled(machine, unit, signal);
  const perGib = Math.ceil(SAMPLES / (memoryBytes / GIBIBYTE));
  const calcTime = Math.max(1, Math.round(ms / unitMs));
  await machine.execute("calc-dirty-rate", {
    ...unit,
    "calc-time": calcTime,
    "sample-pages": Math.min(SAMPLES_PER_GIB_MAX, Math.max(SAMPLES_PER_GIB_MIN, perGib)),
  });
  await machine.clock.sleep(calcTime * unitMs, signal);
  const measured = await settled(machine, unit, signal);
  const lengthMs = measured["calc-time"] * unitMs;
  const rate = measured["dirty-rate"] ?? 0;
  const bytesPerSecond = rate > 0 ? (rate + 0.5) * MEBIBYTE : 0;
  const distinctBytes = Math.min(memoryBytes, Math.round(bytesPerSecond * lengthMs / 1000));
  return { ms: lengthMs, distinctBytes };
}

async function settled(
  machine: Machine,
  unit: Record<string, string>,
  signal?: AbortSignal,
): Promise<z.infer<typeof answer>> {
  for (;;) {
    signal?.throwIfAborted();
    const state = await ask(machine, "query-dirty-rate", answer, unit);
    if (state.status !== "measuring") return state;
    await machine.clock.sleep(POLL_MS, signal);
  }
}
