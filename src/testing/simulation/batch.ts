import { MUTATIONS } from "./mutations.ts";
import { simulate, type Violation } from "./world.ts";

/** Seeds that one worker runs in a row. */
export interface Batch {
  readonly firstSeed: number;
  readonly count: number;
  /** Name of a deliberate bug to run them with. */
  readonly mutation?: string;
  /** See `WorldOptions.checksOrder`. */
  readonly checksOrder?: boolean;
  /** Ends the batch at its first broken rule. */
  readonly stopsAtFirst?: boolean;
}

export interface BrokenSeed extends Violation {
  readonly seed: number;
  /** What happened last. */
  readonly lines: readonly string[];
}

/** What came of a batch; plain data, it crosses between threads. */
export interface BatchResult {
  readonly seeds: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly broken: readonly BrokenSeed[];
  readonly steps: number;
  readonly virtualMs: number;
}

/** Runs the seeds of a batch one after the other. */
export async function runBatch(batch: Batch): Promise<BatchResult> {
  const { firstSeed, count, checksOrder, stopsAtFirst = false } = batch;
  const mutation = MUTATIONS.find(({ name }) => name === batch.mutation);
  if (batch.mutation !== undefined && mutation === undefined) {
    throw new RangeError(`There is no mutation ${batch.mutation}`);
  }
  const counts: Record<string, number> = {};
  const broken: BrokenSeed[] = [];
  let steps = 0;
  let virtualMs = 0;
  let seed = firstSeed;
  while (seed < firstSeed + count) {
    const outcome = await simulate({ seed, mutation, checksOrder });
    seed++;
    steps += outcome.steps;
    virtualMs += outcome.virtualMs;
    for (const [name, times] of outcome.counts) counts[name] = (counts[name] ?? 0) + times;
    if (outcome.violation === null) continue;
    broken.push({ ...outcome.violation, seed: outcome.seed, lines: outcome.lines });
    if (stopsAtFirst) break;
  }
  return { seeds: seed - firstSeed, counts, broken, steps, virtualMs };
}

/** Two results as one. */
export function joined(left: BatchResult, right: BatchResult): BatchResult {
  const counts: Record<string, number> = { ...left.counts };
  for (const [name, times] of Object.entries(right.counts)) {
    counts[name] = (counts[name] ?? 0) + times;
  }
  return {
    seeds: left.seeds + right.seeds,
    counts,
    broken: [...left.broken, ...right.broken],
    steps: left.steps + right.steps,
    virtualMs: left.virtualMs + right.virtualMs,
  };
}

/** Of no seed. */
export const NOTHING: BatchResult = { seeds: 0, counts: {}, broken: [], steps: 0, virtualMs: 0 };
