import type { CostMeasurement, EndCost } from "./measure.ts";

const MB = 1e6;
const MIB = 2 ** 20;
const ENDS = ["source", "destination"] as const;

export const HEADER = "memory     CPU s/GiB source     destination          peak MiB source   " +
  "destination        time s    MB/s  downtime ms  longest answer, own delay ms";

/** Median and, in parentheses, least and most of all runs of one size. */
export function costRow(memoryMiB: number, runs: readonly CostMeasurement[]): string {
  const end = (name: typeof ENDS[number], value: (cost: EndCost) => number, digits: number) =>
    spread(runs.map((run) => value(run[name])), digits);
  const longest = (value: (cost: EndCost) => number) =>
    Math.max(...runs.flatMap((run) => ENDS.map((name) => value(run[name])))).toFixed(0);
  return [
    `${memoryMiB} MiB`.padEnd(11),
    end("source", (cost) => cost.cpuSecondsPerGiB, 2).padEnd(21),
    end("destination", (cost) => cost.cpuSecondsPerGiB, 2).padEnd(21),
    end("source", (cost) => cost.peakBytes / MIB, 0).padEnd(19),
    end("destination", (cost) => cost.peakBytes / MIB, 0).padEnd(19),
    median(runs.map((run) => run.totalSeconds)).toFixed(1).padEnd(10),
    median(runs.map((run) => run.guestBytesPerSecond / MB)).toFixed(0).padEnd(6),
    median(runs.map((run) => run.downtimeMs)).toFixed(0).padEnd(13),
    `${longest((cost) => cost.responseMsMax)}, ${longest((cost) => cost.ownDelayMsMax)}`,
  ].join("");
}

/** By how much the peak grows from the smallest guest to the largest, over what that one has more. */
export function growthLines(
  results: readonly { memoryMiB: number; runs: readonly CostMeasurement[] }[],
): string[] {
  if (results.length < 2) return [];
  const [small, large] = [results[0], results.at(-1)!];
  const moreBytes = (large.memoryMiB - small.memoryMiB) * MIB;
  return ENDS.map((name) => {
    const peak = (runs: readonly CostMeasurement[]) =>
      median(runs.map((run) => run[name].peakBytes));
    const grownBytes = peak(large.runs) - peak(small.runs);
    return `${name}: peak grows by ${(grownBytes / MIB).toFixed(1)} MiB, ` +
      `${(100 * grownBytes / moreBytes).toFixed(2)} % of the guest's further memory`;
  });
}

/** The functions that took most of each end's main thread. */
export function profileLines(run: CostMeasurement): string[] {
  return ENDS.flatMap((name) => {
    if (run[name].profile.length === 0) return [];
    const rows = run[name].profile.map(({ name, ratio }) =>
      `  ${(100 * ratio).toFixed(1).padStart(5)} %  ${name}`
    );
    return [`${name}, main thread:`, ...rows];
  });
}

function spread(values: readonly number[], digits: number): string {
  const shown = (value: number) => value.toFixed(digits);
  return `${shown(median(values))} (${shown(Math.min(...values))}-${shown(Math.max(...values))})`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}
