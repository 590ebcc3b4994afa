import type { MigrationReport } from "../migration/report.ts";
import { formatBytes, formatDuration, formatRate } from "./format.ts";

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

/** What a line says besides how far it is: rate, round, remaining and time to go. */
function details(report: MigrationReport, bytesPerSecond: number | null): string[] {
  const round = report.rounds.at(-1)?.number;
  const remaining = remainingBytes(report);
  return [
    ...(bytesPerSecond === null ? [] : [formatRate(bytesPerSecond)]),
    ...(round === undefined ? [] : [`round ${round}`]),
    ...(remaining === null ? [] : [`${formatBytes(remaining)} left`]),
    ...(report.etaMs === null ? [] : [`ETA ${formatDuration(report.etaMs)}`]),
  ];
}

/** One line for a terminal of this width: `copying [#####-----] 50 % …`; never wider. */
export function progressBar(
  report: MigrationReport,
  bytesPerSecond: number | null,
  columns: number,
): string {
  const share = `${Math.floor(report.progress * 100)} %`.padStart(5);
  const rest = `${share}  ${details(report, bytesPerSecond).join("  ")}`;
  const room = columns - 1 - report.state.length - rest.length - " [] ".length;
  const width = Math.min(BAR_WIDTH_MAX, room);
  if (width < BAR_WIDTH_MIN) return `${report.state}${rest}`.slice(0, columns - 1);
  const filled = Math.floor(report.progress * width);
  return `${report.state} [${"#".repeat(filled)}${"-".repeat(width - filled)}] ${rest}`;
}

/** One line for a log: `copying 50 %, 87.3 Mbit/s, round 2, … (phase)`. */
export function progressLine(report: MigrationReport, bytesPerSecond: number | null): string {
  const share = `${report.state} ${Math.floor(report.progress * 100)} %`;
  return `${[share, ...details(report, bytesPerSecond)].join(", ")} (${report.phase})`;
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
          ` (budget ${formatDuration(report.maxDowntimeMs)})`;
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
