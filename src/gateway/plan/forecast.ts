import type { Remedy } from "../../migration/control/wishes.ts";
import type { Strategy } from "../../migration/report.ts";
import { ENDS, type Ends, ends } from "./ends.ts";
import { type ForecastInput, isFitting, oneCourse } from "./forecast_input.ts";
import type { OpenRange, PlanChange, PlanStrategy } from "./report.ts";
import type { Course } from "./scenario.ts";
import { changesOf } from "./what_if.ts";

/** What may be done about a machine that writes too much, and that a plan tries by itself. */
const TRIED: readonly Remedy[] = ["throttleDisks", "throttleCpu", "ask"];

/** The forecast part of a plan. */
export interface Forecasts {
  readonly strategies: PlanStrategy[];
  readonly changes: PlanChange[];
}

/**
 * Runs the model of a move for each strategy and case, and for what could be different: pure. It can
 * take seconds for a machine that is large or never gets in step, and belongs in a worker.
 */
export function forecast(input: ForecastInput): Forecasts {
  const { strategy: only, whenOver } = input;
  const first = only ?? "precopy";
  const base = coursesOf(input, first, whenOver);
  const strategies = [strategyOf(input, first, whenOver, base)];
  const isSure = ENDS.every((end) => isFitting(base[end], input));
  if (first === "precopy" && !isSure) {
    for (const remedy of TRIED) {
      if (whenOver.includes(remedy)) continue;
      const tried: Remedy[] = [remedy, "wait"];
      strategies.push(strategyOf(input, first, tried, coursesOf(input, first, tried)));
    }
  }
  if (only === null) {
    const stopped = coursesOf(input, "stop-and-copy", whenOver);
    strategies.push(strategyOf(input, "stop-and-copy", whenOver, stopped));
  }
  return { strategies, changes: changesOf(input, first, base.expected, strategies) };
}

function coursesOf(
  input: ForecastInput,
  strategy: Strategy,
  whenOver: readonly Remedy[],
): Ends<Course> {
  return ends((end) => oneCourse(input, strategy, end, { wishes: { whenOver } }));
}

function strategyOf(
  input: ForecastInput,
  strategy: Strategy,
  whenOver: readonly Remedy[],
  courses: Ends<Course>,
): PlanStrategy {
  const { expected } = courses;
  const range = (of: (course: Course) => number | null) =>
    openRange(ENDS.map((end) => of(courses[end])));
  return {
    strategy,
    whenOver: [...whenOver],
    totalMs: range(({ totalMs }) => totalMs),
    wireBytes: range(({ wireBytes }) => wireBytes),
    downtimeMs: range(({ downtimeMs }) => downtimeMs),
    fits: fits(input, courses),
    outcome: ends((end) => courses[end].outcome),
    reason: expected.reason,
    budgetMs: Math.round(expected.budgetMs),
    throttle: {
      diskBytesPerSecond: whole(expected.diskBytesPerSecond),
      cpuShare: expected.cpuShare,
    },
    remarks: [
      ...input.remarks,
      ...(strategy === "stop-and-copy" ? ["the machine stands still for the whole copy"] : []),
      ...(expected.budgetMs > input.maxDowntimeMs
        ? [`this holds where the ${Math.round(expected.budgetMs)} ms that it asks for are granted`]
        : []),
    ],
  };
}

function fits(input: ForecastInput, courses: Ends<Course>): boolean | null {
  if (!input.machine.expected.isRunning) return true;
  if (courses.expected.outcome === "seeded") return true;
  if (ENDS.every((end) => isFitting(courses[end], input))) return true;
  return isFitting(courses.expected, input) ? null : false;
}

/** In order; a case without an end is worse than all others. */
function openRange(values: readonly (number | null)[]): OpenRange | null {
  const [low, expected, high] = values.map((value) => value ?? Infinity)
    .toSorted((left, right) => left - right).map(whole);
  return low === null ? null : { low, expected, high };
}

function whole(value: number | null): number | null {
  return value === null || !Number.isFinite(value) ? null : Math.round(value);
}
