import { type Spread, spread } from "../bytes/report.ts";

/** One move, as far as its pause is judged. */
export interface PauseRun {
  readonly profile: string;
  /** Of the profile: both one-way delays together. */
  readonly roundTripMs: number;
  readonly state: string;
  /** By the report. */
  readonly reportedDowntimeMs: number | null;
  /** By a client of the machine. */
  readonly observedDowntimeMs: number | null;
  /** By the decision that it was switched with. */
  readonly predictedDowntimeMs: number | null;
}

/** Issue 4: a pause that fits is at most this, and so many round trips, as clients see it. */
export const DOWNTIME_MS_MAX = 300;
export const ROUND_TRIPS_MAX = 1.5;
/** A forecast is right within either of these. */
const RIGHT_RATIO = 0.25;
const RIGHT_MS = 50;
/** And so many of all have to be. */
const RIGHT_SHARE_MIN = 0.9;

/** All runs of one profile, or of all. */
export interface PauseJudgement {
  readonly moves: number;
  readonly completed: number;
  readonly reportedMs: Spread | null;
  readonly observedMs: Spread | null;
  readonly predictedMs: Spread | null;
  /** Forecast less what a client observed. */
  readonly errorMs: Spread | null;
  /** Clients were without an answer for no longer than was asked for. */
  readonly short: number;
  /** The forecast was right by what the report says, and by what a client saw. */
  readonly rightByReport: number;
  readonly rightByClient: number;
}

/** True where a forecast came as near as was asked for. */
export function isRight(predictedMs: number | null, truthMs: number | null): boolean {
  if (predictedMs === null || truthMs === null) return false;
  return Math.abs(predictedMs - truthMs) <= Math.max(RIGHT_MS, RIGHT_RATIO * truthMs);
}

/** True where a client missed the machine for no longer than was asked for. */
export function isShort({ observedDowntimeMs, roundTripMs }: PauseRun): boolean {
  return observedDowntimeMs !== null &&
    observedDowntimeMs <= DOWNTIME_MS_MAX + ROUND_TRIPS_MAX * roundTripMs;
}

/** Sums up moves. */
export function judgePauses(runs: readonly PauseRun[]): PauseJudgement {
  const figures = (of: (run: PauseRun) => number | null) => {
    const known = runs.map(of).filter((value) => value !== null);
    return known.length === 0 ? null : spread(known);
  };
  const right = (of: (run: PauseRun) => number | null) =>
    runs.filter((run) => isRight(run.predictedDowntimeMs, of(run))).length;
  return {
    moves: runs.length,
    completed: runs.filter(({ state }) => state === "completed").length,
    reportedMs: figures((run) => run.reportedDowntimeMs),
    observedMs: figures((run) => run.observedDowntimeMs),
    predictedMs: figures((run) => run.predictedDowntimeMs),
    errorMs: figures(({ predictedDowntimeMs, observedDowntimeMs }) =>
      predictedDowntimeMs === null || observedDowntimeMs === null
        ? null
        : predictedDowntimeMs - observedDowntimeMs
    ),
    short: runs.filter(isShort).length,
    rightByReport: right((run) => run.reportedDowntimeMs),
    rightByClient: right((run) => run.observedDowntimeMs),
  };
}

/** Both targets of issue 4, over all profiles. */
export function targetsMet(all: PauseJudgement): { short: boolean; right: boolean } {
  return {
    short: all.moves > 0 && all.short === all.moves,
    right: all.moves > 0 && all.rightByClient >= RIGHT_SHARE_MIN * all.moves,
  };
}

/** A table, one line for each profile and one for all. */
export function pauseLines(runs: readonly PauseRun[]): string[] {
  const title = ["profile", "moves", "reported ms", "observed ms", "predicted ms"];
  const lines = [row([...title, "error ms", "short", "right, report", "right, client"])];
  const line = (name: string, part: readonly PauseRun[]) => {
    const found = judgePauses(part);
    const of = (count: number) => `${count} of ${found.moves}`;
    const columns = [found.reportedMs, found.observedMs, found.predictedMs, found.errorMs]
      .map(shown);
    const counts = [found.short, found.rightByReport, found.rightByClient].map(of);
    lines.push(row([name, of(found.completed), ...columns, ...counts]));
  };
  for (const profile of new Set(runs.map((run) => run.profile))) {
    line(profile, runs.filter((run) => run.profile === profile));
  }
  line("all", runs);
  return lines;
}

function shown(figure: Spread | null): string {
  if (figure === null) return "-";
  const { median, min, max } = figure;
  return `${Math.round(median)} (${Math.round(min)}..${Math.round(max)})`;
}

function row([title, ...columns]: readonly string[]): string {
  return (title.padEnd(24) + columns.map((text) => text.padEnd(18)).join("")).trimEnd();
}
