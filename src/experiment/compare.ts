import { groupKey } from "./matrix.ts";
import { hasArrived, type Row } from "./row.ts";
import { type Change, changeOf, type Spread, spreadOf } from "./statistics.ts";

/** Figures that two experiments are compared by. */
const COMPARED = [
  "totalMs",
  "downtimeMs",
  "observedDowntimeMs",
  "wireBytes",
  "firstTotalMs",
  "firstWireBytes",
] as const;

/** One figure of one group in both experiments. */
export interface Difference {
  readonly group: string;
  readonly figure: string;
  readonly before: Spread | null;
  readonly after: Spread | null;
  readonly change: Change;
}

export interface Comparison {
  /** What the runs were made of and on, where it differs: name, before, after. */
  readonly settings: readonly (readonly [string, string, string])[];
  /** Groups that only one of the two has. */
  readonly onlyBefore: readonly string[];
  readonly onlyAfter: readonly string[];
  readonly differences: readonly Difference[];
}

/** What a later experiment has changed: beyond the spread of the runs of both, or within it. */
export function compareRows(before: readonly Row[], after: readonly Row[]): Comparison {
  const [groupsBefore, groupsAfter] = [before, after].map((rows) => Map.groupBy(rows, groupKey));
  const both = [...groupsBefore.keys()].filter((group) => groupsAfter.has(group));
  return {
    settings: settingDifferences(before, after),
    onlyBefore: [...groupsBefore.keys()].filter((group) => !groupsAfter.has(group)),
    onlyAfter: [...groupsAfter.keys()].filter((group) => !groupsBefore.has(group)),
    differences: both.flatMap((group) => {
      const [left, right] = [groupsBefore.get(group)!, groupsAfter.get(group)!];
      return [
        arrivals(group, left, right),
        ...COMPARED.map((figure): Difference => {
          const [was, is] = [left, right].map((rows) =>
            spreadOf(rows.filter(hasArrived).map((row) => row[figure]))
          );
          return { group, figure, before: was, after: is, change: changeOf(was, is) };
        }).filter(({ before, after }) => before !== null || after !== null),
      ];
    }),
  };
}

/** The comparison for people: what changed first. */
export function comparisonLines(comparison: Comparison): string[] {
  const { settings, onlyBefore, onlyAfter, differences } = comparison;
  const of = (...changes: Change[]) => differences.filter(({ change }) => changes.includes(change));
  const changed = of("less", "more");
  const unknown = of("unknown");
  return [
    ...settings.map(([name, was, is]) => `${name}: ${was} -> ${is}`),
    ...onlyBefore.map((group) => `only in the first: ${group}`),
    ...onlyAfter.map((group) => `only in the second: ${group}`),
    changed.length === 0
      ? "nothing changed beyond the spread"
      : `${changed.length} figures changed beyond the spread:`,
    ...changed.map((difference) => `  ${line(difference)}`),
    `${of("same").length} figures stayed within it`,
    ...(unknown.length === 0 ? [] : [
      `${unknown.length} figures with fewer than two runs on a side, so without a spread:`,
      ...unknown.map((difference) => `  ${line(difference)}`),
    ]),
  ];
}

/** Rates of arrival differ where one side always arrives and the other one never does. */
function arrivals(group: string, left: readonly Row[], right: readonly Row[]): Difference {
  const [before, after] = [left, right].map((rows) =>
    spreadOf(rows.map(({ state }) => state === "completed" ? 1 : 0))
  );
  return { group, figure: "completed", before, after, change: changeOf(before, after) };
}

function settingDifferences(
  before: readonly Row[],
  after: readonly Row[],
): [string, string, string][] {
  const shown = (rows: readonly Row[], of: (row: Row) => unknown) =>
    [...new Set(rows.map((row) => text(of(row))))].sort().join(", ");
  const names = new Set(
    [...before, ...after].flatMap(({ versions, machine }) => [
      ...Object.keys(versions).map((name) => `versions.${name}`),
      ...Object.keys(machine).map((name) => `machine.${name}`),
    ]),
  );
  const readers: [string, (row: Row) => unknown][] = [
    ["commit", ({ commit }) => commit],
    ["deno", ({ deno }) => deno],
    ...[...names].sort().map((name): [string, (row: Row) => unknown] => {
      const [part, key] = name.split(".");
      return [name, (row) => row[part as "versions" | "machine"][key] ?? null];
    }),
  ];
  return readers.map(([name, of]): [string, string, string] => [
    name,
    shown(before, of),
    shown(after, of),
  ]).filter(([, was, is]) => was !== is);
}

function text(value: unknown): string {
  return value === null ? "unknown" : String(value);
}

function line({ group, figure, before, after, change }: Difference): string {
  const ratio = before !== null && after !== null && before.median !== 0
    ? ` (${((after.median / before.median - 1) * 100).toFixed(1)} %)`
    : "";
  return `${group} ${figure}: ${spreadText(before)} -> ${spreadText(after)}${ratio}` +
    (change === "unknown" ? "" : `, ${change}`);
}

function spreadText(spread: Spread | null): string {
  if (spread === null) return "-";
  const { median, min, max } = spread;
  const rounded = (value: number) => Number(value.toFixed(3));
  return min === max
    ? `${rounded(median)}`
    : `${rounded(median)} [${rounded(min)}..${rounded(max)}]`;
}
