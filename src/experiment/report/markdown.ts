import { cellsOf, groupKey, selects, settingKey } from "../matrix.ts";
import { hasArrived, type Row } from "../row.ts";
import type { Metric, Published, Scenario } from "../schema.ts";
import { type Spread, spreadOf } from "../statistics.ts";
import { judge, type Judgement } from "../targets.ts";
import type { Plot } from "./plots.ts";

export interface ReportInput {
  readonly scenario: Scenario;
  readonly rows: readonly Row[];
  readonly plots: readonly Plot[];
}

/** The report of an experiment, in GitHub's Markdown; plots lie beside it. */
export function markdownReport({ scenario, rows, plots }: ReportInput): string {
  const total = cellsOf(scenario).length;
  const sections = [
    heading(scenario, rows, total),
    table(GROUP_TITLES, groupLines(rows)),
    failures(rows),
    targets(judge(scenario, rows)),
    publishedTable(scenario, rows),
    comparability(scenario),
    ...(plots.length === 0 ? [] : ["## Plots"]),
    ...plots.map(({ title, file }) => `### ${title}\n\n![${title}](${file})`),
    provenance(rows),
  ];
  return sections.filter((section) => section !== "").join("\n\n") + "\n";
}

function heading({ name, description, source }: Scenario, rows: readonly Row[], total: number) {
  const failed = rows.filter((row) => !hasArrived(row)).length;
  const counts = `${rows.length} of ${total} cells have run` +
    (failed > 0 ? `, ${failed} of them failed` : "") + ".";
  return [`# ${name}`, description, ...(source === null ? [] : [`After: ${source}`]), counts]
    .join("\n\n");
}

const GROUP_TITLES = [
  "profile",
  "guest",
  "workload",
  "faults",
  "strategy",
  "arrived",
  "total s",
  "limit s",
  "downtime ms, own word",
  "downtime ms, client",
  "noise ms",
  "wire MB",
  "rounds",
  "link: RTT ms, loss",
];

function groupLines(rows: readonly Row[]): string[][] {
  return [...Map.groupBy(rows, groupKey).values()].map((group) => {
    const [{ profile, guest, workload, faults, strategy }] = group;
    const arrived = group.filter(hasArrived);
    const forced = group.filter(({ state }) => state === "forced").length;
    const of = (value: (row: Row) => number | null) => spreadOf(arrived.map(value));
    const rtt = of(({ link }) => link?.roundTripMs ?? null);
    const loss = of(({ link }) => link?.lossRatio ?? null);
    return [
      ...[profile, guest, workload, faults, strategy],
      `${arrived.length} of ${group.length}${forced > 0 ? `, ${forced} forced` : ""}`,
      shown(of(({ totalMs }) => totalMs), 1000, 1),
      shown(of(({ limit }) => limit?.ms ?? null), 1000, 1),
      shown(of(({ downtimeMs }) => downtimeMs), 1, 0),
      shown(of(({ observedDowntimeMs }) => observedDowntimeMs), 1, 0),
      shown(of(({ noiseMs }) => noiseMs), 1, 0),
      shown(of(({ wireBytes }) => wireBytes), 1e6, 1),
      shown(of(({ rounds }) => rounds), 1, 0),
      `${shown(rtt, 1, 1)}, ${loss === null ? "-" : `${(loss.median * 100).toFixed(2)} %`}`,
    ];
  });
}

function failures(rows: readonly Row[]): string {
  const told = rows.filter(({ state }) => state !== "completed");
  if (told.length === 0) return "";
  const lines = told.map(({ cell, state, note }) => [
    `\`${cell}\``,
    state,
    (note ?? "").slice(0, 300),
  ]);
  return `## Cells that did not end by themselves\n\n${table(["cell", "state", "why"], lines)}`;
}

function targets(judgements: readonly Judgement[]): string {
  const judged = judgements.filter(({ targetMs }) => targetMs !== null);
  if (judged.length === 0) return "";
  const titles = ["setting", "strategy", "total s", "limit s", "best of QEMU alone"];
  titles.push(
    "target s",
    "time",
    "downtime ms",
    "target ms",
    "QEMU's stop and load ms",
    "downtime",
  );
  const lines = judged.map((found) => [
    found.setting,
    found.strategy,
    seconds(found.totalMs),
    seconds(found.limitMs),
    found.bestStock === null
      ? "none ended"
      : `${seconds(found.bestStock.totalMs)} (${found.bestStock.strategy})`,
    seconds(found.targetMs),
    verdict(found.timeMet),
    rounded(found.observedDowntimeMs),
    rounded(found.downtimeTargetMs),
    rounded(found.stopAndLoadMs),
    verdict(found.downtimeMet),
  ]);
  return `## Targets

Total time: at most the larger of 0.6 of the best of QEMU alone and 1.25 of the limit. Downtime, as
a client sees it: at most 300 ms and 1.5 round trips, where QEMU itself stops and loads the machine
on one host in less than 150 ms in the same run. The limit is 1.04 times what memory and disk hold,
without zeros, in zstd level 3 by batches of 1 MiB, over the rate, and 1.5 round trips.

${table(titles, lines)}`;
}

const UNITS: Readonly<Record<Metric, readonly [divisor: number, unit: string]>> = {
  totalMs: [1000, "s"],
  downtimeMs: [1, "ms"],
  observedDowntimeMs: [1, "ms"],
  wireBytes: [1e6, "MB"],
  firstTotalMs: [1000, "s"],
  firstWireBytes: [1e6, "MB"],
};

function publishedTable({ published }: Scenario, rows: readonly Row[]): string {
  if (published.length === 0) return "";
  const lines = published.map((figure) => [
    figure.what,
    `${figure.value} ${figure.unit}`,
    figure.where,
    oursBeside(figure, rows),
  ]);
  return `## Published figures and ours\n\n${
    table(["published", "figure", "where", "ours"], lines)
  }`;
}

function oursBeside({ metric, of, per }: Published, rows: readonly Row[]): string {
  if (metric === null) return "nothing to compare";
  const [divisor, unit] = UNITS[metric];
  const arrived = rows.filter(hasArrived);
  const spread = (group: readonly Row[]) => spreadOf(group.map((row) => row[metric]));
  const groups = Map.groupBy(arrived.filter((row) => selects(of, row)), groupKey);
  const lines = [...groups].map(([key, group]) => {
    const ours = spread(group);
    if (per === null) return `${key}: ${shown(ours, divisor, 1)} ${unit}`;
    const setting = settingKey(group[0]);
    const base = spread(arrived.filter((row) => selects(per, row) && settingKey(row) === setting));
    const ratio = ours === null || base === null ? "-" : (ours.median / base.median).toFixed(2);
    return `${setting}: ${ratio} of the medians`;
  });
  return lines.join("<br>") || "-";
}

function comparability({ comparable, notComparable }: Scenario): string {
  const list = (title: string, texts: readonly string[]) =>
    texts.length === 0 ? [] : [`## ${title}\n\n${texts.map((text) => `- ${text}`).join("\n")}`];
  return [...list("What is comparable", comparable), ...list("What is not", notComparable)]
    .join("\n\n");
}

function provenance(rows: readonly Row[]): string {
  const values = (of: (row: Row) => unknown) =>
    [...new Set(rows.map((row) => JSON.stringify(of(row))))].join(", ");
  if (rows.length === 0) return "";
  const loads = spreadOf(rows.map(({ load }) => load));
  const late = spreadOf(rows.map(({ link }) => link?.lateRatio ?? null));
  const lines = [
    ["commit", values(({ commit }) => commit)],
    ["Deno", values(({ deno }) => deno)],
    ["versions", values(({ versions }) => versions)],
    ["machine", values(({ machine }) => machine)],
    ["seeds", values(({ seed }) => seed)],
    ["load average before cells", shown(loads, 1, 1)],
    ["packets that the emulator sent late", late === null ? "-" : percent(late)],
    ["first and last cell", `${rows[0].at}, ${rows[rows.length - 1].at}`],
  ];
  return `## Where this was measured\n\n${table(["what", "value"], lines)}`;
}

function percent({ median, max }: Spread): string {
  return `median ${(median * 100).toFixed(2)} %, most ${(max * 100).toFixed(2)} %`;
}

function seconds(ms: number | null): string {
  return ms === null ? "-" : (ms / 1000).toFixed(1);
}

function rounded(value: number | null): string {
  return value === null ? "-" : String(Math.round(value));
}

function verdict(met: boolean | null): string {
  return met === null ? "-" : met ? "met" : "**missed**";
}

/** Median, and the range where there are several. */
function shown(spread: Spread | null, divisor: number, digits: number): string {
  if (spread === null) return "-";
  const { count, median, min, max } = spread;
  const text = (value: number) => (value / divisor).toFixed(digits);
  return count === 1 || text(min) === text(max)
    ? text(median)
    : `${text(median)} (${text(min)} to ${text(max)})`;
}

function table(titles: readonly string[], lines: readonly (readonly string[])[]): string {
  const escaped = (cell: string) => cell.replaceAll("|", "\\|").replaceAll("\n", " ");
  return [titles, titles.map(() => "---"), ...lines]
    .map((cells) => `| ${cells.map(escaped).join(" | ")} |`).join("\n");
}
