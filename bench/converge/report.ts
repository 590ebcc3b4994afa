import { spread } from "../bytes/report.ts";

/** One attempt to move a machine that writes faster than the link carries. */
export interface ConvergeRun {
  readonly load: string;
  readonly contestant: string;
  readonly seed: number;
  /** Of the host, over the last minute. */
  readonly hostLoad: number;
  /**
   * `converged`: it switched by its own decision. `forced`: it was stopped after the patience.
   * `ended`: it gave up, and the machine runs on at the source.
   */
  readonly end: "converged" | "forced" | "ended";
  /** In words, where something went another way. */
  readonly note: string;
  readonly wireBytes: number;
  readonly totalMs: number;
  /** What the storm wrote each second before the move, guest bytes. */
  readonly writtenBytesPerSecond: number;
  /** And while it was on its way. */
  readonly writtenMeanwhileBytesPerSecond: number;
  readonly observedDowntimeMs: number | null;
  readonly reportedDowntimeMs: number | null;
  readonly predictedDowntimeMs: number | null;
  /** Budget in force at the switch; null for QEMU, which has a limit of its own of 300 ms. */
  readonly budgetMs: number | null;
  /** Of both ways. */
  readonly roundTripMs: number;
  /** Longest time without an answer at any other time. */
  readonly noiseMs: number;
  /** The longest ones, each with its beginning, ms after the decision to switch. */
  readonly silences: readonly { readonly atMs: number; readonly silentMs: number }[];
  readonly cpuShare: number | null;
  readonly diskBytesPerSecond: number | null;
  readonly decisions: readonly { readonly action: string; readonly reason: string }[];
  readonly verified: string;
}

/** Of a path, what clients may see beside the budget (issue 4). */
const ROUND_TRIPS = 1.5;

/** True where clients missed a machine that switched for no longer than the budget and the path. */
export function keptBudget({ observedDowntimeMs, budgetMs, roundTripMs }: ConvergeRun): boolean {
  return observedDowntimeMs !== null && budgetMs !== null &&
    observedDowntimeMs <= budgetMs + ROUND_TRIPS * roundTripMs;
}

/** A line for each contestant of each load, and what was asked for. */
export function convergeLines(runs: readonly ConvergeRun[]): string[] {
  const lines: string[] = [];
  for (const load of new Set(runs.map((run) => run.load))) {
    lines.push(
      "",
      `load: ${load}`,
      row("", [
        ...["by itself", "MB on the wire", "seconds", "observed ms", "reported ms", "budget ms"],
        ...["predicted ms", "writes MB/s", "meanwhile", "throttle"],
      ]),
    );
    const ofLoad = runs.filter((run) => run.load === load);
    for (const contestant of new Set(ofLoad.map((run) => run.contestant))) {
      const theirs = ofLoad.filter((run) => run.contestant === contestant);
      const megabytes = (of: (run: ConvergeRun) => number) =>
        shown(theirs.map((run) => of(run) / 1e6), 1);
      lines.push(row(contestant, [
        endText(theirs),
        megabytes((run) => run.wireBytes),
        shown(theirs.map(({ totalMs }) => totalMs / 1000), 0),
        shown(theirs.map((run) => run.observedDowntimeMs), 0),
        shown(theirs.map((run) => run.reportedDowntimeMs), 0),
        shown(theirs.map((run) => run.budgetMs), 0),
        shown(theirs.map((run) => run.predictedDowntimeMs), 0),
        megabytes((run) => run.writtenBytesPerSecond),
        megabytes((run) => run.writtenMeanwhileBytesPerSecond),
        throttleText(theirs),
      ]));
    }
  }
  const switched = runs.filter(({ end, budgetMs }) => end === "converged" && budgetMs !== null);
  const kept = switched.filter(keptBudget).length;
  lines.push(
    "",
    `within budget and 1.5 round trips, as clients see it: ${kept} of ${switched.length}`,
  );
  return lines;
}

function endText(runs: readonly ConvergeRun[]): string {
  const count = (end: ConvergeRun["end"]) => runs.filter((run) => run.end === end).length;
  if (count("ended") === runs.length) return "gave up";
  return `${count("converged")} of ${runs.length}`;
}

function throttleText(runs: readonly ConvergeRun[]): string {
  const cpu = runs.map(({ cpuShare }) => cpuShare === null ? null : cpuShare * 100);
  const disks = runs.map((run) =>
    run.diskBytesPerSecond === null ? null : run.diskBytesPerSecond / 1e6
  );
  if (cpu.some((share) => share !== null)) return `CPU ${shown(cpu, 0)} %`;
  return disks.some((rate) => rate !== null) ? `disks ${shown(disks, 2)} MB/s` : "-";
}

function shown(values: readonly (number | null)[], digits: number): string {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return "-";
  const { median, min, max } = spread(known);
  const text = median.toFixed(digits);
  return min === max ? text : `${text} (${min.toFixed(digits)}-${max.toFixed(digits)})`;
}

function row(title: string, columns: readonly string[]): string {
  return (title.padEnd(26) + columns.map((text) => text.padEnd(16)).join("")).trimEnd();
}
