import type { Clock } from "../core/clock.ts";
import type { MigrationReport } from "../migration/report.ts";
import { type EventSource, follow } from "./follow.ts";
import { progressBar, progressLine, RateMeter, summary } from "./progress.ts";
import type { Terminal } from "./terminal.ts";
import { questionLines } from "./wishes_shown.ts";

/** Lines come at most this often while nothing but the figures changes. */
const LINE_PERIOD_MS = 1_000;
const BAR_PERIOD_MS = 100;

/** How a migration is shown. */
export interface WatchOptions {
  readonly clock: Clock;
  readonly terminal: Terminal;
  /** No progress, for programs that read the report at the end. */
  readonly quiet: boolean;
  /** Hears of each new state or phase, without what the phase says about figures. */
  readonly onPhase?: (phase: string) => void;
  /** Stops watching; the move goes on. */
  readonly stop: AbortSignal;
}

/**
 * Shows a migration until it has ended: a bar that is redrawn on a terminal, lines elsewhere.
 *
 * @returns the last report; null when watching was stopped
 * @throws {GatewayError} as `follow`
 */
export async function watch(
  source: EventSource,
  id: string,
  { clock, terminal, quiet, onPhase, stop }: WatchOptions,
): Promise<MigrationReport | null> {
  const meter = new RateMeter();
  let last: MigrationReport | null = null;
  let shownAtMs = -Infinity;
  let askedAt: string | null = null;
  for await (const report of follow(source, id, clock, stop)) {
    const nowMs = clock.nowMs();
    const rate = meter.add(nowMs, report.wireBytes.total);
    const changed = report.state !== last?.state || report.phase !== last.phase;
    if (last === null || phaseOf(report) !== phaseOf(last)) onPhase?.(phaseOf(report));
    last = report;
    // Nothing else may go unseen, but a move that asks may wait for its answer for ever.
    if (report.question !== null && report.question.askedAt !== askedAt) {
      for (const line of questionLines(report)) {
        if (quiet) terminal.note(line);
        else terminal.print(line);
      }
    }
    askedAt = report.question?.askedAt ?? null;
    if (quiet) continue;
    const periodMs = terminal.redraw ? BAR_PERIOD_MS : LINE_PERIOD_MS;
    if (!changed && nowMs - shownAtMs < periodMs) continue;
    shownAtMs = nowMs;
    if (terminal.redraw) terminal.redraw(progressBar(report, rate, terminal.columns()));
    else terminal.print(progressLine(report, rate));
  }
  if (stop.aborted) return null;
  if (last && !quiet) { for (const line of summary(last)) terminal.print(line); }
  return last;
}

/** "copying memory: the pause would take 412 ms" is still the phase of copying memory. */
function phaseOf({ phase }: MigrationReport): string {
  return phase.split(":")[0];
}
