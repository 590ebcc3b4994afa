import { packedTotal } from "./bound.ts";
import { CASE_TITLES, type CaseName, type CaseRun } from "./cases.ts";

/** One run as it is recorded. */
export interface RecordedRun extends CaseRun {
  readonly case: CaseName;
  readonly contestant: string;
  /** Runs of one repetition have the same seed, and are compared with each other. */
  readonly repetition: number;
  readonly seed: number;
  readonly load: number;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** A ratio that a case is about, and what it should be. */
export interface Judgement {
  readonly case: CaseName;
  readonly of: string;
  readonly ratio: Spread;
  readonly target: number;
  readonly met: boolean;
}

const OURS = "causeway";

/** What each case is judged by: the figure that ours is divided by, and the target (issue 3). */
const TARGETS: readonly {
  readonly case: CaseName;
  readonly of: string;
  readonly target: number;
  readonly by: (ours: RecordedRun, others: readonly RecordedRun[]) => number | null;
}[] = [
  { case: "a", of: "the bound", target: 1.05, by: boundOf },
  { case: "a", of: "QEMU's better setting", target: 0.9, by: bestOfOthers },
  { case: "b", of: "QEMU's better setting", target: 0.3, by: bestOfOthers },
  { case: "c", of: "the bound", target: 1.2, by: boundOf },
  { case: "d", of: "the first attempt", target: 0.1, by: earlierOf },
  { case: "e", of: "the bound", target: 1.2, by: boundOf },
];

export function boundOf({ bound }: RecordedRun): number | null {
  return bound && packedTotal(bound.departure) + packedTotal(bound.changed);
}

function bestOfOthers(_: RecordedRun, others: readonly RecordedRun[]): number | null {
  if (others.length === 0) return null;
  return Math.min(...others.map(({ cost }) => cost.wireBytes));
}

function earlierOf({ earlier }: RecordedRun): number | null {
  return earlier && earlier.wireBytes;
}

/** Ratios of each repetition, then their median: machines of one repetition are equal. */
export function judge(runs: readonly RecordedRun[]): Judgement[] {
  return TARGETS.flatMap(({ case: name, of, target, by }) => {
    const ratios = runs.flatMap((ours) => {
      if (ours.case !== name || ours.contestant !== OURS) return [];
      const others = runs.filter((run) =>
        run.case === name && run.contestant !== OURS && run.repetition === ours.repetition
      );
      const divisor = by(ours, others);
      return divisor === null ? [] : [ours.cost.wireBytes / divisor];
    });
    if (ratios.length === 0) return [];
    const ratio = spread(ratios);
    return [{ case: name, of, ratio, target, met: ratio.median <= target }];
  });
}

/** The table of one case, and under it how ours compares. */
export function caseLines(name: CaseName, all: readonly RecordedRun[]): string[] {
  const runs = all.filter((run) => run.case === name);
  if (runs.length === 0) return [];
  const lines = [
    "",
    `${name}) ${CASE_TITLES[name]}`,
    row("", "MB on the wire", "memory MB", "disk MB", "seconds", "hot MiB/s", "by itself"),
  ];
  for (const contestant of new Set(runs.map((run) => run.contestant))) {
    const theirs = runs.filter((run) => run.contestant === contestant);
    const converged = theirs.filter(({ cost }) => cost.converged).length;
    lines.push(row(
      contestant,
      megabytes(theirs.map(({ cost }) => cost.wireBytes)),
      megabytes(theirs.map(({ cost }) => cost.memoryBytes)),
      megabytes(theirs.map(({ cost }) => cost.diskBytes)),
      shown(theirs.map(({ cost }) => cost.totalMs / 1000), 0),
      shown(theirs.map(({ rates }) => rates.hot > 0 ? rates.hot / 256 : null), 1),
      `${converged} of ${theirs.length}`,
    ));
  }
  const bounds = runs.flatMap((run) => run.bound ? [run.bound] : []);
  if (bounds.length > 0) {
    lines.push(row(
      "bound",
      megabytes(runs.map(boundOf)),
      megabytes(bounds.map(({ departure }) => departure.memoryBytes)),
      megabytes(bounds.map(({ departure }) => departure.diskBytes)),
    ));
    const changed = bounds.map(({ changed }) => packedTotal(changed));
    lines.push(row("  changed meanwhile", megabytes(changed)));
  }
  const earlier = runs.filter(({ contestant }) => contestant === OURS)
    .map((run) => run.earlier?.wireBytes ?? null);
  if (earlier.some((bytes) => bytes !== null)) {
    lines.push(row("  causeway before it", megabytes(earlier)));
  }
  for (const { of, ratio, target, met } of judge(runs)) {
    lines.push(
      `  causeway / ${of}: ${spreadText(ratio, 2)}, target ${target}: ${met ? "met" : "missed"}`,
    );
  }
  return lines;
}

/** @param values at least one */
export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length / 2;
  const median = sorted.length % 2 === 1
    ? sorted[Math.floor(middle)]
    : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1) as number };
}

function spreadText({ median, min, max }: Spread, digits: number): string {
  const text = median.toFixed(digits);
  return min === max ? text : `${text} (${min.toFixed(digits)}-${max.toFixed(digits)})`;
}

function shown(values: readonly (number | null)[], digits: number): string {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? "-" : spreadText(spread(known), digits);
}

function megabytes(values: readonly (number | null)[]): string {
  return shown(values.map((value) => value === null ? null : value / 1e6), 1);
}

function row(title: string, ...columns: string[]): string {
  return (title.padEnd(24) + columns.map((text) => text.padEnd(21)).join("")).trimEnd();
}
