import { GatewayError } from "../../core/errors.ts";
import { ContentEstimate } from "../../guest/content_estimate.ts";
import {
  type DirtySample,
  type DirtyWindow,
  type DiskSample,
  type SampleOptions,
  windowsMs,
} from "../../guest/dirty_sample.ts";
import { ask, blockStatsAnswer, memorySizeAnswer, statusAnswer } from "../answers.ts";
import { readDrives, runStateOf } from "../describe.ts";
import type { Machine } from "../machine.ts";
import { MemoryContents } from "./contents.ts";
import { measureWindow } from "./dirty_rate.ts";

/**
 * Watches a machine: both windows one after the other, a look at contents before and behind them.
 *
 * @throws {GatewayError} `guest_state` for a machine whose memory is not here
 */
export async function sampleMachine(
  machine: Machine,
  { seconds, scratchDirectory = null, signal }: SampleOptions,
): Promise<DirtySample> {
  const lengthsMs = windowsMs(seconds);
  signal?.throwIfAborted();
  const { status } = await ask(machine, "query-status", statusAnswer);
  const runState = runStateOf(status);
  if (runState !== "running" && runState !== "paused") {
    throw new GatewayError("guest_state", `Cannot watch "${machine.id}": it is ${runState}`, {
      hint: "Watch it where it runs",
    });
  }
  const memory = await ask(machine, "query-memory-size-summary", memorySizeAnswer);
  const memoryBytes = memory["base-memory"] + (memory["plugged-memory"] ?? 0);
  const contents = scratchDirectory === null
    ? null
    : await MemoryContents.open(machine, scratchDirectory);
  const before = await contents?.read(signal) ?? null;
  const written = await writtenBytes(machine);
  const windows: DirtyWindow[] = [];
  for (const ms of lengthsMs) {
    windows.push(await measureWindow(machine, memoryBytes, ms, signal));
  }
  const disks = diskSamples(written, await writtenBytes(machine));
  const after = before === null ? null : await contents?.read(signal) ?? null;
  const { zeroShare, wireRatio, rewriteRatio } = await estimate(before, after, signal);
  return { memory: { windows, zeroShare, wireRatio, rewriteRatio }, disks };
}

interface Written {
  readonly atMs: number;
  readonly bytesOf: ReadonlyMap<string, number>;
}

async function writtenBytes(machine: Machine): Promise<Written> {
  const [drives, stats] = await Promise.all([
    readDrives(machine),
    ask(machine, "query-blockstats", blockStatsAnswer),
  ]);
  const bytesOfNode = new Map(stats.map((each) => [each["node-name"], each.stats.wr_bytes]));
  const bytesOf = new Map(
    drives.filter(({ readOnly }) => !readOnly)
      .map(({ id, nodeName }) => [id, bytesOfNode.get(nodeName) ?? 0]),
  );
  return { atMs: machine.clock.nowMs(), bytesOf };
}

function diskSamples(before: Written, after: Written): DiskSample[] {
  const ms = after.atMs - before.atMs;
  return [...after.bytesOf].flatMap(([id, bytes]) => {
    const had = before.bytesOf.get(id);
    if (had === undefined) return [];
    const writtenBytesPerSecond = Math.round(Math.max(0, bytes - had) * 1000 / ms);
    return [{ id, writtenBytesPerSecond, distinctBytes: null, ms: Math.round(ms) }];
  });
}

/** Packs chunk by chunk, so that the gateway's other work gets its turns. */
async function estimate(
  before: readonly Uint8Array[] | null,
  after: readonly Uint8Array[] | null,
  signal?: AbortSignal,
): Promise<ContentEstimate> {
  const content = new ContentEstimate();
  for (const [at, chunk] of (before ?? []).entries()) {
    content.add(chunk);
    if (after !== null) content.compare(chunk, after[at]);
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
  return content;
}
