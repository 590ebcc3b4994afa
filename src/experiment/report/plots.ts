import { groupKey, settingKey } from "../matrix.ts";
import { hasArrived, type Row } from "../row.ts";
import { quantile } from "../statistics.ts";
import { type Interval, phasesOf, ratesOf } from "./series.ts";

/** A Vega-Lite specification; see src/experiment/plots/render.ts. */
export type Spec = Readonly<Record<string, unknown>>;

export interface Plot {
  readonly title: string;
  /** Below the folder of the report. */
  readonly file: string;
  readonly spec: Spec;
}

const SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json";
const CONFIG = { view: { stroke: null }, axis: { grid: true }, font: "sans-serif" };
const WIDTH = 560;
const PANEL_HEIGHT = 110;

/** Every plot of a report that these rows can fill. */
export function plotsOf(rows: readonly Row[]): Plot[] {
  const arrived = rows.filter(hasArrived);
  return [
    ...figurePlots(arrived),
    ...blackoutPlot(arrived),
    ...[...Map.groupBy(arrived, settingKey)].flatMap(([setting, inside]) =>
      timePlots(setting, typical(inside))
    ),
  ];
}

/** Time, downtime and bytes: a mark for each run, the limit as a tick. */
function figurePlots(rows: readonly Row[]): Plot[] {
  const figures: [string, string, string, (row: Row) => number | null, "log" | "linear"][] = [
    ["Total time", "total", "total time, s", ({ totalMs }) => scaled(totalMs, 1000), "log"],
    [
      "Downtime, as a client of the machine sees it",
      "downtime",
      "downtime, ms",
      ({ observedDowntimeMs, downtimeMs }) => observedDowntimeMs ?? downtimeMs,
      "log",
    ],
    [
      "Bytes on the wire",
      "bytes",
      "MB in IP packets",
      ({ wireBytes }) => scaled(wireBytes, 1e6),
      "linear",
    ],
  ];
  return figures.flatMap(([title, file, axis, of, type]) => {
    const values = rows.map((row) => ({
      setting: settingKey(row),
      strategy: row.strategy,
      value: of(row),
      limit: file === "total" && row.limit !== null ? row.limit.ms / 1000 : null,
    })).filter(({ value }) => value !== null && value > 0);
    if (values.length === 0) return [];
    const scale = { type, zero: type === "linear" };
    return [{
      title,
      file: `plots/${file}.svg`,
      spec: {
        $schema: SCHEMA,
        config: CONFIG,
        title,
        data: { values },
        facet: {
          row: { field: "setting", title: null, header: { labelAngle: 0, labelAlign: "left" } },
        },
        spec: {
          width: WIDTH,
          height: { step: 16 },
          encoding: { y: { field: "strategy", type: "nominal", title: null } },
          layer: [
            {
              mark: { type: "point", filled: true, size: 60, opacity: 0.7 },
              encoding: {
                x: { field: "value", type: "quantitative", title: axis, scale },
                color: { field: "strategy", type: "nominal", legend: null },
              },
            },
            ...(values.some(({ limit }) => limit !== null)
              ? [{
                transform: [{ filter: "isValid(datum.limit)" }],
                mark: { type: "tick", color: "#333", thickness: 2 },
                encoding: { x: { field: "limit", type: "quantitative" } },
              }]
              : []),
          ],
        },
      },
    }];
  });
}

/** Share of the silences that are at least so long, by strategy. */
function blackoutPlot(rows: readonly Row[]): Plot[] {
  const values = [...Map.groupBy(rows, ({ strategy }) => strategy)].flatMap(([strategy, group]) => {
    // Where nobody watched from outside there is the mover's own word.
    const silences = group.flatMap(({ blackoutsMs, downtimeMs }) =>
      blackoutsMs.length > 0 ? blackoutsMs : downtimeMs === null ? [] : [downtimeMs]
    ).filter((ms) => ms > 0).sort((a, b) => a - b);
    return silences.map((ms, index) => ({ strategy, ms, share: (index + 1) / silences.length }));
  });
  if (values.length === 0) return [];
  const title = "Distribution of blackouts";
  return [{
    title,
    file: "plots/blackouts.svg",
    spec: {
      $schema: SCHEMA,
      config: CONFIG,
      title,
      width: WIDTH,
      height: 240,
      data: { values },
      mark: { type: "line", interpolate: "step-after", point: { size: 12 } },
      encoding: {
        x: { field: "ms", type: "quantitative", title: "silence, ms", scale: { type: "log" } },
        y: { field: "share", type: "quantitative", title: "share that is no longer" },
        color: { field: "strategy", type: "nominal", title: null },
      },
    },
  }];
}

/** The three courses over time of one setting, a panel for each strategy. */
function timePlots(setting: string, rows: readonly Row[]): Plot[] {
  const phases = rows.flatMap((row) => phasesOf(row.samples).map((phase) => tagged(row, phase)));
  const rates = rows.flatMap((row) => ratesOf(row.samples).map((rate) => tagged(row, rate)));
  if (rates.length === 0) return [];
  const both = rates.flatMap(({ strategy, atSeconds, sentMbit, dirtyMbit }) => [
    { strategy, atSeconds, what: "sent", mbit: sentMbit },
    ...(dirtyMbit === null ? [] : [{ strategy, atSeconds, what: "written", mbit: dirtyMbit }]),
  ]);
  const remaining = rates.filter(({ remainingMB }) => remainingMB !== null);
  // One colour for one phase, in the order of their coming, in all panels.
  const shades = { domain: [...new Set(phases.map(({ phase }) => phase))], scheme: "set2" };
  const slug = setting.replaceAll("/", "-");
  const line = (y: Spec, color?: Spec): Spec => ({
    mark: { type: "line", interpolate: "linear", strokeWidth: 1.5 },
    encoding: { x: TIME_AXIS, y, ...(color === undefined ? {} : { color }) },
  });
  const plot = (name: string, what: string, values: readonly unknown[], over: Spec): Plot[] =>
    values.length === 0 ? [] : [{
      title: `${what}: ${setting}`,
      file: `plots/${name}-${slug}.svg`,
      spec: panels(
        `${what}: ${setting}`,
        rows.map(({ strategy }) => strategy),
        values,
        phases,
        shades,
        over,
      ),
    }];
  return [
    ...plot(
      "throughput",
      "Throughput over time",
      rates,
      line({ field: "sentMbit", type: "quantitative", title: "Mbit/s on the wire" }),
    ),
    ...plot(
      "rates",
      "Rate of writing memory against rate of sending",
      both,
      line({ field: "mbit", type: "quantitative", title: "Mbit/s" }, {
        field: "what",
        type: "nominal",
        title: null,
        scale: { domain: ["sent", "written"], range: ["#1f77b4", "#d62728"] },
      }),
    ),
    ...plot(
      "remaining",
      "What remains over time",
      remaining,
      line({ field: "remainingMB", type: "quantitative", title: "MB remaining" }),
    ),
  ];
}

const TIME_AXIS = { field: "atSeconds", type: "quantitative", title: "s since the move began" };

/** One panel below the other, the phases as shades behind each line. */
function panels(
  title: string,
  strategies: readonly string[],
  values: readonly unknown[],
  phases: readonly (Interval & { readonly strategy: string })[],
  shades: Spec,
  line: Spec,
): Spec {
  return {
    $schema: SCHEMA,
    config: CONFIG,
    title,
    vconcat: strategies.map((strategy) => {
      const own = { filter: `datum.strategy === ${JSON.stringify(strategy)}` };
      return {
        title: { text: strategy, anchor: "start", fontSize: 11 },
        width: WIDTH,
        height: PANEL_HEIGHT,
        layer: [
          {
            data: { values: phases },
            transform: [own],
            mark: { type: "rect", opacity: 0.18 },
            encoding: {
              x: { ...TIME_AXIS, field: "fromSeconds" },
              x2: { field: "toSeconds" },
              color: { field: "phase", type: "nominal", title: "phase", scale: shades },
            },
          },
          { data: { values }, transform: [own], ...line },
        ],
        resolve: { scale: { color: "independent" } },
      };
    }),
  };
}

/** Of each strategy the run whose total time is nearest to the median. */
function typical(rows: readonly Row[]): Row[] {
  return [...Map.groupBy(rows, groupKey).values()].flatMap((group) => {
    const timed = group.filter(({ totalMs, samples }) => totalMs !== null && samples.length > 1);
    if (timed.length === 0) return [];
    const sorted = timed.map(({ totalMs }) => totalMs!).sort((a, b) => a - b);
    const median = quantile(sorted, 0.5);
    const distance = ({ totalMs }: Row) => Math.abs(totalMs! - median);
    return [timed.reduce((best, row) => distance(row) < distance(best) ? row : best)];
  });
}

function tagged<T>({ strategy }: Row, value: T): T & { strategy: string } {
  return { ...value, strategy };
}

function scaled(value: number | null, divisor: number): number | null {
  return value === null ? null : value / divisor;
}
