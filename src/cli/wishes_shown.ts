import type { LinkRate, RatePolicy } from "../migration/control/wishes.ts";
import type { MigrationReport } from "../migration/report.ts";
import { formatDuration, formatRate } from "./format.ts";

/** `fair up to 40.0 Mbit/s, now 12.3 Mbit/s`: what was wished and what is in force. */
export function rateText(
  rate: number | RatePolicy | LinkRate,
  capBytesPerSecond: number | null,
): string {
  const wished = wishedRate(rate);
  const now = capBytesPerSecond === null ? "no cap" : formatRate(capBytesPerSecond);
  return wished === now ? wished : `${wished}, now ${now}`;
}

function wishedRate(rate: number | RatePolicy | LinkRate): string {
  if (rate === null) return "no cap";
  if (typeof rate === "number") return formatRate(rate);
  switch (rate.policy) {
    case "fixed":
      return formatRate(rate.bytesPerSecond);
    case "clark":
      return `clark from ${formatRate(rate.minBytesPerSecond)} to ` +
        formatRate(rate.maxBytesPerSecond);
    case "fair":
      return rate.maxBytesPerSecond === null
        ? "fair"
        : `fair up to ${formatRate(rate.maxBytesPerSecond)}`;
    case "schedule":
      return `schedule of ${rate.entries.length}`;
  }
}

/** `pause 372 ms of 300 ms`: what the budget limits, of a switch that began now; null: unknown. */
export function forecastText({ forecast, maxDowntimeMs }: MigrationReport): string | null {
  if (forecast === null) return null;
  return `pause ${formatDuration(forecast.budgetedMs)} of ${formatDuration(maxDowntimeMs)}`;
}

/** What is taken from the machine; null: nothing. */
export function throttleText({ throttle }: MigrationReport): string | null {
  const { diskBytesPerSecond, cpuShare } = throttle;
  const parts = [
    ...(diskBytesPerSecond === null ? [] : [`its disks write ${formatRate(diskBytesPerSecond)}`]),
    ...(cpuShare === null || cpuShare === 0
      ? []
      : [`its CPUs lose ${Math.round(cpuShare * 100)} %`]),
  ];
  return parts.length === 0 ? null : parts.join(", ");
}

/** What a move asks and how it is answered, as lines that stand out; none where it asks nothing. */
export function questionLines({ id, question }: MigrationReport): string[] {
  if (question === null) return [];
  return [
    `QUESTION: ${question.text}`,
    `  yes: causeway answer ${id} --accept   another pause: --max-downtime MS   no: --refuse`,
  ];
}

/** Everything that is wished of a move, by its name in the API's words. */
export function wishRows(report: MigrationReport): [string, string][] {
  const { maxDowntimeMs, weight, priority, whenOver, window, hold } = report;
  return [
    ["budget", formatDuration(maxDowntimeMs)],
    ["rate", rateText(report.rate, report.rateBytesPerSecond)],
    ["share", `weight ${weight}, priority ${priority}`],
    ["when over", whenOver.join(", then ")],
    ...(window === null
      ? []
      : [["window", `from ${window.from} until ${window.until ?? "it is done"}`]] as [
        string,
        string,
      ][]),
    ...(hold ? [["hold", "until it is told to switch"]] as [string, string][] : []),
  ];
}
