import { type Cell, namesOf } from "../matrix.ts";
import { type CellFigures, failedFigures, type Row } from "../row.ts";
import { parseScenario } from "../scenario.ts";
import type { Scenario } from "../schema.ts";

/** A scenario of two links, two ways and two machines; members of `changes` replace its own. */
export function testScenario(changes: Record<string, unknown> = {}): Scenario {
  const { matrix, ...rest } = changes as { matrix?: Record<string, unknown> };
  return parseScenario(
    JSON.stringify({
      name: "test",
      description: "of tests",
      matrix: {
        profiles: ["metro", {
          name: "slow",
          base: "metro",
          change: { rateBitsPerSecond: 8000000 },
        }],
        guests: [
          { name: "tiny", kind: "qemu", memoryMiB: 128, diskMiB: 8 },
          { name: "big", kind: "qemu", memoryMiB: 256, diskMiB: 8 },
        ],
        strategies: [
          { name: "ours", way: "causeway" },
          { name: "stock", way: "qemu" },
        ],
        ...matrix,
      },
      ...rest,
    }),
    "test.json",
  );
}

/** Figures that follow from the cell alone. */
export function figuresOf({ id, seed, repetition }: Cell): CellFigures {
  const totalMs = 1000 * id.length + 10 * seed + repetition;
  return {
    ...failedFigures(""),
    state: "completed",
    note: null,
    totalMs,
    downtimeMs: 100 + repetition,
    observedDowntimeMs: 110 + repetition,
    noiseMs: 5,
    wireBytes: 1_000_000 + seed,
    limit: { memoryBytes: 1000, diskBytes: 10, ms: 900 },
    link: { roundTripMs: 4, peakBitsPerSecond: 1e6, lossRatio: 0, lateRatio: 0 },
    blackoutsMs: [110, 30],
    samples: [
      sample(0, "copying", 0, 9e6),
      sample(500, "copying", 4e5, 5e6),
      sample(1000, "switching", 9e5, 1e5),
      sample(1100, "completed", 1e6, 0),
    ],
    versions: { qemu: "10.0.2" },
  };
}

/** A row as the runner makes it, changed where a test wants that. */
export function rowOf(cell: Cell, changes: Partial<Row> = {}): Row {
  return {
    cell: cell.id,
    ...namesOf(cell),
    seed: cell.seed,
    repetition: cell.repetition,
    ...figuresOf(cell),
    ...CONTEXT,
    at: "2024-01-01T00:00:00.000Z",
    cellMs: 1000,
    ...changes,
  };
}

export const CONTEXT = {
  commit: "abc",
  deno: "2.9.6",
  machine: { cores: 2, processor: "any" },
  load: 0.5,
};

function sample(atMs: number, phase: string, wireBytes: number, remainingBytes: number) {
  return { atMs, phase, wireBytes, remainingBytes, dirtyBytesPerSecond: 1e5 };
}
