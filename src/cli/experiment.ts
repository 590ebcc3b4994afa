import { GatewayError } from "../core/errors.ts";
import { processRunner } from "../experiment/cell_process.ts";
import { compareRows, comparisonLines } from "../experiment/compare.ts";
import { contextReader } from "../experiment/context.ts";
import { cellsOf } from "../experiment/matrix.ts";
import { writeReport } from "../experiment/report/write.ts";
import { resolveProfile } from "../experiment/resolve_profile.ts";
import { hasArrived, type Row } from "../experiment/row.ts";
import { readResults, RowStore } from "../experiment/row_store.ts";
import { type Progress, runExperiment } from "../experiment/runner.ts";
import { parseScenario } from "../experiment/scenario.ts";
import type { Scenario } from "../experiment/schema.ts";
import { timestamp } from "../core/clock.ts";
import { answer, type Cli } from "./cli.ts";
import { EXIT } from "./exit_codes.ts";
import { formatDuration } from "./format.ts";
import { StopSignal } from "./signals.ts";

/** Options of `causeway experiment`. */
export interface ExperimentArguments {
  /** Default `./NAME-results` by the scenario's name. */
  readonly out?: string;
  /** Cells that failed run once more. */
  readonly retryFailed?: boolean;
}

/** A scenario is small; a wrong path must not fill the memory. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/**
 * `causeway experiment FILE --out DIR`: runs what has no row yet, and writes the report. The first
 * SIGINT ends the cell that runs, without a row; the same command goes on from there.
 *
 * @returns 0 when every cell has a row and arrived, 1 when some failed, 3 when interrupted
 * @throws {GatewayError} `scenario_invalid`, `experiment_differs`, `profile_not_found`
 */
export async function experiment(
  cli: Cli,
  file: string,
  options: ExperimentArguments,
): Promise<number> {
  const scenario = await loadScenario(file);
  const { out = `${scenario.name}-results`, retryFailed = false } = options;
  // Before the first cell rather than in the tenth.
  for (const profile of scenario.matrix.profiles) await resolveProfile(profile);
  using stop = new StopSignal(["SIGINT", "SIGTERM"]);
  using store = await RowStore.open(out, scenario, timestamp(cli.clock.wallMs()));
  if (retryFailed) await store.keep(hasArrived);
  const earlier = store.rows.length;
  const say = (line: string) => cli.json ? cli.terminal.note(line) : cli.terminal.print(line);
  if (earlier > 0) say(`${earlier} of ${cellsOf(scenario).length} cells have run before`);
  const outcome = await runExperiment({
    scenario,
    store,
    runCell: processRunner(scenario),
    context: await contextReader(),
    clock: cli.clock,
    progress: progressOf(cli, say),
    signal: stop.signal,
  });
  await report(cli, out, scenario, store.rows);
  const summary = {
    scenario: scenario.name,
    report: `${out}/report.md`,
    rows: store.rows.length,
    ...outcome,
  };
  answer(cli, summary, () => [
    `${store.rows.length} of ${outcome.cells} cells have run, ${outcome.failed} failed` +
    (outcome.skipped > 0 ? `, ${outcome.skipped} were left out by stop rules` : "") +
    (outcome.interrupted ? "; interrupted: the same command continues" : ""),
    `report: ${out}/report.md`,
  ]);
  if (outcome.interrupted) return EXIT.cancelled;
  return outcome.failed > 0 ? EXIT.failed : EXIT.done;
}

/** `causeway experiment report DIR`: the report once more from the rows that are there. */
export async function experimentReport(cli: Cli, directory: string): Promise<number> {
  const { manifest, rows } = await readResults(directory);
  await report(cli, directory, manifest.scenario, rows);
  const path = `${directory}/report.md`;
  answer(cli, { report: path, rows: rows.length }, () => [`report: ${path}`]);
  return EXIT.done;
}

/** `causeway experiment compare A B`: what changed beyond the spread. */
export async function experimentCompare(cli: Cli, a: string, b: string): Promise<number> {
  const [before, after] = [await readResults(a), await readResults(b)];
  const comparison = compareRows(before.rows, after.rows);
  answer(cli, comparison, () => comparisonLines(comparison));
  return EXIT.done;
}

/** Rows and tables are worth having without plots, too. */
async function report(
  { terminal }: Cli,
  directory: string,
  scenario: Scenario,
  rows: readonly Row[],
): Promise<void> {
  const failure = await writeReport(directory, scenario, rows);
  if (failure !== null) terminal.note(`There are no plots: ${failure}`);
}

/** @throws {GatewayError} `scenario_invalid` also where there is no such file */
async function loadScenario(file: string): Promise<Scenario> {
  const unusable = (why: string, cause?: unknown) =>
    new GatewayError("scenario_invalid", `Cannot read scenario ${file}: ${why}`, {
      hint: "Give the path of a scenario file, such as experiments/small.json",
      cause,
    });
  let text: string;
  try {
    const { size, isFile } = await Deno.stat(file);
    if (!isFile) throw unusable("it is not a file");
    if (size > FILE_BYTES_MAX) throw unusable(`${size} bytes, allowed: up to ${FILE_BYTES_MAX}`);
    text = await Deno.readTextFile(file);
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    throw unusable(cause instanceof Error ? cause.message : String(cause), cause);
  }
  return parseScenario(text, file);
}

function progressOf({ terminal }: Cli, say: (line: string) => void): Progress {
  const left = (ms: number | null) =>
    ms === null || ms === 0 ? "" : `, about ${formatDuration(ms)} left`;
  const place = (done: number, total: number) =>
    `[${String(done).padStart(String(total).length)}/${total}]`;
  return {
    begins({ id }, done, total, leftMs) {
      terminal.redraw?.(`${place(done + 1, total)} ${id} runs${left(leftMs)}`);
    },
    ended(row, done, total, leftMs) {
      say(`${place(done, total)} ${row.cell}: ${outcomeText(row)}${left(leftMs)}`);
    },
    skipped({ id }, why) {
      say(`${id}: left out (stop.${why})`);
    },
  };
}

function outcomeText(row: Row): string {
  if (!hasArrived(row)) return `FAILED, ${row.note}`;
  const downtimeMs = row.observedDowntimeMs ?? row.downtimeMs;
  const parts = [
    row.totalMs === null ? null : formatDuration(row.totalMs),
    downtimeMs === null ? null : `downtime ${formatDuration(downtimeMs)}`,
    row.wireBytes === null ? null : `${(row.wireBytes / 1e6).toFixed(1)} MB`,
  ].filter((part) => part !== null);
  return `${row.state}, ${parts.join(", ")}`;
}
