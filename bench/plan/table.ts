import type { OpenRange } from "../../src/gateway/plan/report.ts";
import type { PlanMeasurement } from "./measure.ts";

const MB = 1e6;
/** Asked for: the duration within this. */
const TARGET_RATIO = 0.25;

const TITLES = [
  ...["profile", "load", "duration: forecast", "came", "off by"],
  ...["MB: forecast", "came", "ms of pause: forecast", "came"],
];

/** By how much the expected duration was off; null where either had no end. */
export function durationError({ plan, report }: PlanMeasurement): number | null {
  const expected = plan.strategies[0].totalMs?.expected ?? null;
  if (expected === null || report.state !== "completed") return null;
  return expected / report.totalMs! - 1;
}

/** One row in Markdown for each move, and a sentence about all of them. */
export function markdown(measured: readonly PlanMeasurement[]): string[] {
  const rows = [TITLES, TITLES.map(() => "---"), ...measured.map(row)];
  const errors = measured.map(durationError);
  const near = errors.filter((error) => error !== null && Math.abs(error) <= TARGET_RATIO).length;
  const within =
    measured.filter(({ plan: { strategies: [{ totalMs }] }, report }) =>
      report.state === "completed" && totalMs !== null && report.totalMs! >= totalMs.low &&
      report.totalMs! <= (totalMs.high ?? Infinity)
    ).length;
  return [
    ...rows.map((cells) => `| ${cells.join(" | ")} |`),
    "",
    `Duration within ${TARGET_RATIO * 100} % in ${near} of ${measured.length}, within the range ` +
    `that was given in ${within}.`,
  ];
}

function row(measurement: PlanMeasurement): string[] {
  const { profile, load, plan: { strategies: [forecast] }, report } = measurement;
  const error = durationError(measurement);
  const came = report.state === "completed" ? report : null;
  const cell = (value: number | null | undefined, unit: number, digits: number) =>
    value === null || value === undefined ? "no end" : (value / unit).toFixed(digits);
  return [
    profile,
    load,
    range(forecast.totalMs, 1_000, 1) + " s",
    cell(came?.totalMs, 1_000, 1) + " s",
    error === null ? "-" : `${error >= 0 ? "+" : ""}${(error * 100).toFixed(0)} %`,
    range(forecast.wireBytes, MB, 1),
    cell(came?.wireBytes.total, MB, 1),
    range(forecast.downtimeMs, 1, 0),
    cell(came?.downtimeMs, 1, 0),
  ];
}

function range(value: OpenRange | null, unit: number, digits: number): string {
  if (value === null) return "no end";
  const shown = (at: number | null) => at === null ? "no end" : (at / unit).toFixed(digits);
  return `${shown(value.expected)} (${shown(value.low)}-${shown(value.high)})`;
}
