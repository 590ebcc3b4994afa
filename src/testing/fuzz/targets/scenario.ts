import assert from "node:assert/strict";
import { cellsOf } from "../../../experiment/matrix.ts";
import { CELLS_MAX, parseScenario } from "../../../experiment/scenario.ts";
import { mutateJson } from "../json_mutator.ts";
import type { FuzzTarget } from "../target.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const SCENARIO = {
  name: "a",
  description: "b",
  matrix: {
    profiles: ["metro", { name: "slow", base: "metro", change: { delayMs: 20, lossRatio: 0.01 } }],
    guests: [
      { name: "r", kind: "reference", memoryMiB: 8, disks: [{ sizeMiB: 2 }], count: 2 },
      { name: "q", kind: "qemu", memoryMiB: 256, diskMiB: 64 },
    ],
    workloads: [{ name: "w", reference: { hotMiB: 1 }, qemu: { memoryMiB: 4 } }],
    strategies: [
      { name: "ours", way: "causeway", options: { rate: 1_000_000, whenOver: ["ask"] } },
      { name: "stock", way: "qemu", setting: "xbzrle", congestion: "bbr" },
    ],
    faults: [{ name: "f", events: [{ kind: "outage", atMs: 1, durationMs: 2 }] }],
    seeds: [1, 2],
    repetitions: 3,
  },
  leaveOut: [{ guest: "r", strategy: "stock" }],
  stop: { settled: { repetitionsMin: 2, spreadRatio: 0.1 } },
  published: [{ what: "w", value: 1, unit: "ms", metric: "totalMs", where: "abstract" }],
};

/** The scenario of an experiment, written by hand. */
export function scenario(): FuzzTarget {
  return {
    name: "scenario",
    reads: "scenario files of experiments (src/experiment/scenario.ts)",
    codes: ["scenario_invalid"],
    form: "text",
    bufferBytesMax: 16 * 2 ** 20,
    testExecutions: 2_000,
    generate: () => encoder.encode(JSON.stringify(SCENARIO, null, 1)),
    mutate: (input, dice, others) =>
      mutateJson(input, dice, others, ["faults", "leaveOut", "seeds", "kind", "way", "change"]),
    run(input) {
      const cells = cellsOf(parseScenario(decoder.decode(input), "fuzz"));
      assert.ok(cells.length > 0 && cells.length <= CELLS_MAX);
      assert.equal(new Set(cells.map(({ id }) => id)).size, cells.length);
      return `${Math.floor(Math.log2(cells.length))}`;
    },
  };
}
