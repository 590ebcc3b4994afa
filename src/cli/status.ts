import type { MigrationReport } from "../migration/report.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import { exitCodeOfState } from "./exit_codes.ts";
import { formatBytes, formatDuration, table } from "./format.ts";
import { watchToEnd } from "./migrate.ts";
import { remainingBytes, summary } from "./progress.ts";
import { forecastText, questionLines, throttleText, wishRows } from "./wishes_shown.ts";

/** `causeway status`: all migrations of the site, or one of them. */
export function status(
  cli: Cli,
  id: string | undefined,
  options: { readonly watch?: boolean },
): Promise<number> {
  return withClient(cli, async (client) => {
    if (id === undefined) {
      const reports = await client.get<MigrationReport[]>("/v1/migrations");
      answer(cli, reports, () => overview(reports));
      return 0;
    }
    if (options.watch) return await watchToEnd(cli, client, id);
    const report = await client.migration(id);
    answer(cli, report, () => details(report));
    return exitCodeOfState(report.state);
  });
}

/** One line per migration. */
export function overview(reports: readonly MigrationReport[]): string[] {
  if (reports.length === 0) return ["No migrations yet"];
  const lines = table(
    ["ID", "GUEST", "FROM", "TO", "STATE", "PROGRESS", "DOWNTIME", "STARTED"],
    reports.map((report) => [
      report.id,
      report.guest,
      report.from,
      report.to,
      report.state,
      `${Math.floor(report.progress * 100)} %`,
      report.downtimeMs === null ? "-" : formatDuration(report.downtimeMs),
      report.startedAt,
    ]),
  );
  return [...lines, ...reports.flatMap(questionLines)];
}

/** One migration at length. */
export function details(report: MigrationReport): string[] {
  const { machine, wireBytes } = report;
  const remaining = remainingBytes(report);
  const saved = Object.entries(report.savedBytes).filter(([, bytes]) => bytes > 0)
    .map(([kind, bytes]) => `${kind} ${formatBytes(bytes)}`);
  const rows: [string, string][] = [
    ["migration", `${report.id}: ${report.guest} from ${report.from} to ${report.to}`],
    ["state", `${report.state} (${report.phase})`],
    [
      "machine",
      `${machine.runState} at ${machine.site}; owner ${report.owner}, epoch ${report.epoch}`,
    ],
    ["progress", `${Math.floor(report.progress * 100)} %`],
    ["remaining", remaining === null ? "-" : formatBytes(remaining)],
    ["ETA", report.etaMs === null ? "-" : formatDuration(report.etaMs)],
    ["took", report.totalMs === null ? "-" : formatDuration(report.totalMs)],
    ["downtime", report.downtimeMs === null ? "-" : formatDuration(report.downtimeMs)],
    ...foreseen(report),
    ...wishRows(report),
    [
      "wire",
      `${formatBytes(wireBytes.total)} (memory ${formatBytes(wireBytes.memory)}, disk ` +
      `${formatBytes(wireBytes.disk)}, control ${formatBytes(wireBytes.control)})`,
    ],
    ["saved", saved.join(", ") || "-"],
    ...report.findings.map(({ severity, message }): [string, string] => [severity, message]),
    ...rollbackRows(report),
    ...adjudicationRows(report),
    ...report.leftovers.map((path): [string, string] => ["leftover", path]),
    ...(report.error
      ? [["error", report.error.message], ["hint", report.error.hint]] as [string, string][]
      : []),
  ];
  return [
    ...questionLines(report),
    ...rows.map(([name, text]) => `${name.padEnd(10)} ${text}`),
    ...(report.state === "inDoubt" || report.state === "conflict" ? summary(report) : []),
  ];
}

/** What was and is foreseen, and what is done about it; nothing where nothing is known. */
function foreseen(report: MigrationReport): [string, string][] {
  const { predictedDowntimeMs, forecast, convergence, leadMs } = report;
  const rows: [string, string | null][] = [
    ["predicted", predictedDowntimeMs === null ? null : formatDuration(predictedDowntimeMs)],
    [
      "now",
      forecast === null
        ? null
        : `${forecastText(report)}; ${formatDuration(forecast.downtimeMs)} as clients see it`,
    ],
    ["converges", convergence && `${VERDICTS[convergence.verdict]}: ${convergence.reason}`],
    ["lead time", leadMs === null ? null : formatDuration(leadMs)],
    ["throttled", throttleText(report)],
  ];
  return rows.filter((row): row is [string, string] => row[1] !== null);
}

const VERDICTS = { converging: "yes", notConverging: "NO", unknown: "not known" } as const;

/** The last try to bring the machine back. */
function rollbackRows({ rollback, rollbackOf }: MigrationReport): [string, string][] {
  const rows: [string, string][] = rollbackOf === null ? [] : [["undoes", rollbackOf]];
  if (rollback === null) return rows;
  const why = rollback.error === null ? "" : `: ${rollback.error.message}`;
  return [...rows, ["rollback", `${rollback.migration} ${rollback.state}${why}`]];
}

function adjudicationRows({ adjudication }: MigrationReport): [string, string][] {
  if (adjudication === null) return [];
  const { by, owner, reason, at } = adjudication;
  return [["decided", `${by} gave it to ${owner} at ${at}: ${reason}`]];
}
