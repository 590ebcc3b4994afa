import type { MigrationReport } from "../migration/report.ts";
import { formatBytes, formatDuration, formatRate } from "./format.ts";
import { forecastText, throttleText } from "./wishes_shown.ts";

/** The rate shown is that of the last few seconds: shorter flickers, longer lags. */
const RATE_WINDOW_MS = 3_000;

const BAR_WIDTH_MAX = 30;
const BAR_WIDTH_MIN = 5;

/** Rate of a growing figure over the last seconds. */
export class RateMeter {
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = [];

  /** @returns bytes per second; null until there are two samples some time apart */
  add(atMs: number, bytes: number): number | null {
    this.#samples.push({ atMs, bytes });
    while (this.#samples.length > 2 && this.#samples[1].atMs <= atMs - RATE_WINDOW_MS) {
      this.#samples.shift();
    }
    const [first] = this.#samples;
    const elapsedMs = atMs - first.atMs;
    return elapsedMs < 1 ? null : Math.max(0, bytes - first.bytes) / elapsedMs * 1_000;
  }
}

/** Bytes of memory and disks that still must cross; null while unknown. */
export function remainingBytes({ memory, disks }: MigrationReport): number | null {
  const parts = [memory.remainingBytes, ...disks.map((disk) => disk.remainingBytes)]
    .filter((part) => part !== null);
  return parts.length === 0 ? null : parts.reduce((sum, part) => sum + part, 0);
}

/** A figure of a line, and how soon it goes where there is no room: the highest goes first. */
type Figure = readonly [text: string | null, goes: number];

/** What a line says besides how far it is: rate, round, remaining, time to go, and what it would cost. */
function figures(report: MigrationReport, bytesPerSecond: number | null): [string, number][] {
  const round = report.rounds.at(-1)?.number;
  const remaining = remainingBytes(report);
  const { etaMs, leadMs, convergence } = report;
  const all: Figure[] = [
    [bytesPerSecond === null ? null : formatRate(bytesPerSecond), 2],
    [round === undefined ? null : `round ${round}`, 6],
    [remaining === null ? null : `${formatBytes(remaining)} left`, 4],
    [etaMs === null ? null : `ETA ${formatDuration(etaMs)}`, 3],
    [forecastText(report), 0],
    [convergence?.verdict === "notConverging" ? "not converging" : null, 1],
    [leadMs === null ? null : `lead ${formatDuration(leadMs)}`, 5],
    [throttleText(report), 1],
  ];
  return all.filter((figure): figure is [string, number] => figure[0] !== null);
}

/** One line for a terminal of this width: `copying [#####-----] 50 % …`; never wider. */
export function progressBar(
  report: MigrationReport,
  bytesPerSecond: number | null,
  columns: number,
): string {
  const state = stateText(report);
  const share = `${Math.floor(report.progress * 100)} %`.padStart(5);
  const shown = figures(report, bytesPerSecond);
  const restOf = () => `${share}  ${shown.map(([text]) => text).join("  ")}`;
  const room = () => columns - 1 - state.length - restOf().length - " [] ".length;
  while (room() < BAR_WIDTH_MIN) {
    const first = Math.max(...shown.map(([, goes]) => goes));
    if (!(first > 0)) return `${state}${restOf()}`.slice(0, columns - 1);
    shown.splice(shown.findIndex(([, goes]) => goes === first), 1);
  }
  const width = Math.min(BAR_WIDTH_MAX, room());
  const filled = Math.floor(report.progress * width);
  return `${state} [${"#".repeat(filled)}${"-".repeat(width - filled)}] ${restOf()}`;
}

/** One line for a log: `copying 50 %, 87.3 Mbit/s, round 2, … (phase)`. */
export function progressLine(report: MigrationReport, bytesPerSecond: number | null): string {
  const share = `${stateText(report)} ${Math.floor(report.progress * 100)} %`;
  const texts = figures(report, bytesPerSecond).map(([text]) => text);
  return `${[share, ...texts].join(", ")} (${report.phase})`;
}

function stateText({ state, question }: MigrationReport): string {
  return question === null ? state : `${state}, ASKS`;
}

/** How a migration went, for people. */
export function summary(report: MigrationReport): string[] {
  const took = report.totalMs === null ? "" : ` after ${formatDuration(report.totalMs)}`;
  const wire = `${formatBytes(report.wireBytes.total)} over the link`;
  switch (report.state) {
    case "completed": {
      const downtime = report.downtimeMs === null
        ? "it was paused and arrived paused"
        : `downtime ${formatDuration(report.downtimeMs)}` +
          ` (budget ${formatDuration(report.maxDowntimeMs)}${predicted(report)})`;
      return [`${report.guest} is at ${report.to}${took}: ${downtime}, ${wire}`];
    }
    case "failed": {
      const where = report.error?.code === "guest_gone"
        ? "it has ended"
        : `it runs at ${report.from}`;
      return [`${report.guest} was not moved${took}: ${where}, ${wire}`];
    }
    case "cancelled":
      return [`The move was cancelled${took}: ${report.guest} runs on at ${report.from}, ${wire}`];
    case "seeded":
      return [
        `${report.guest} was copied to ${report.to}${took} and stays at ${report.from}, ${wire}`,
      ];
    case "rolledBack":
      return [`${report.guest} is back at ${report.from}${took}, ${wire}`];
    case "inDoubt":
      return [
        `${report.guest} is in doubt: ${report.to} may run it and cannot be asked. It stays paused ` +
        `at ${report.from} until ${report.to} answers or you adjudicate`,
      ];
    case "conflict":
      return [
        `${report.guest} is in conflict: both sites were told to run it. Compare both, then ` +
        "adjudicate",
      ];
    default:
      return [progressLine(report, null)];
  }
}

function predicted({ predictedDowntimeMs }: MigrationReport): string {
  return predictedDowntimeMs === null ? "" : `, predicted ${formatDuration(predictedDowntimeMs)}`;
}
