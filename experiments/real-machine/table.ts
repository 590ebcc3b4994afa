import type { MoveResult } from "./one_move.ts";

/** Columns of the table: title, and what stands there for one move. */
const COLUMNS: readonly [string, (result: MoveResult) => string][] = [
  ["move", ({ held }) => held ? "held" : "busy"],
  ["total s", ({ totalMs }) => totalMs === null ? "-" : (totalMs / 1000).toFixed(1)],
  ["reported ms", ({ reportedDowntimeMs }) => String(reportedDowntimeMs ?? "-")],
  ["observed ms", ({ observedDowntimeMs }) => String(observedDowntimeMs ?? "-")],
  ["noise ms", ({ noiseMs }) => String(noiseMs)],
  ["wire MB", ({ wireBytes }) => (wireBytes / 1e6).toFixed(1)],
  ["queue drops", ({ queueDropRatio }) => `${(queueDropRatio * 100).toFixed(2)} %`],
  ["undone", ({ switchesUndone }) => String(switchesUndone)],
  ["disk", ({ disk }) => diskText(disk)],
  ["verify", ({ verify, state }) => verify.startsWith("verify ok") ? "ok" : `FAIL (${state})`],
  ["", ({ ok }) => ok ? "ok" : "FAILED"],
];

export function header(): string {
  return ["run", ...COLUMNS.map(([title]) => title)].map(padded).join("  ").trimEnd();
}

export function line(run: number, result: MoveResult): string {
  return [String(run), ...COLUMNS.map(([, text]) => text(result))].map(padded).join("  ");
}

/** Median, least and most of what was measured, over the moves that arrived. */
export function summary(results: readonly MoveResult[]): string[] {
  const rows: [string, (result: MoveResult) => number | null][] = [
    ["total ms", ({ totalMs }) => totalMs],
    ["reported downtime ms", ({ reportedDowntimeMs }) => reportedDowntimeMs],
    ["observed downtime ms", ({ observedDowntimeMs }) => observedDowntimeMs],
    ["observed - reported ms", difference],
    ["wire bytes", ({ wireBytes }) => wireBytes],
    ["queue drops, 1/1000", ({ queueDropRatio }) => Math.round(queueDropRatio * 1000)],
  ];
  const lines = rows.map(([title, of]) => {
    const values = results.map(of).filter((value) => value !== null).sort((a, b) => a - b);
    if (values.length === 0) return `${title.padEnd(24)} -`;
    const [median, min, max] = [medianOf(values), values[0], values.at(-1)];
    return `${title.padEnd(24)} median ${median}, min ${min}, max ${max}`;
  });
  const good = results.filter(({ ok }) => ok).length;
  return ["", ...lines, `${good} of ${results.length} moves whole`];
}

/** Of sorted values. */
export function medianOf(values: readonly number[]): number {
  const middle = Math.floor(values.length / 2);
  return values.length % 2 === 1
    ? values[middle]
    : Math.round((values[middle - 1] + values[middle]) / 2);
}

function difference({ observedDowntimeMs, reportedDowntimeMs }: MoveResult): number | null {
  if (observedDowntimeMs === null || reportedDowntimeMs === null) return null;
  return observedDowntimeMs - reportedDowntimeMs;
}

function diskText(disk: MoveResult["disk"]): string {
  if (disk === null) return "-";
  if (disk.wrongBlocks.length > 0) return `WRONG ${disk.wrongBlocks.slice(0, 3)}`;
  return disk.newerBlocks === 0 ? "equal" : `equal, ${disk.newerBlocks} newer`;
}

function padded(text: string): string {
  return text.padEnd(11);
}
