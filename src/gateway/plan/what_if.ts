import type { MachineModel, PathModel } from "../../migration/control/model.ts";
import { shownBytes, shownRate } from "../../migration/control/words.ts";
import type { Strategy } from "../../migration/report.ts";
import { type ForecastInput, isFitting, oneCourse } from "./forecast_input.ts";
import type { PlanChange, PlanStrategy } from "./report.ts";
import type { Course } from "./scenario.ts";
import { shownDuration } from "./words.ts";

/** What a move that nothing new has to be sent for costs, for each byte of a first copy. */
const SEEDED_RATIO = 0.01;
/** Half a budget is of no use where the hand-over alone takes most of it. */
const BUDGET_MS_MIN = 100;

/**
 * What the expected case would become if one thing were different: the same model, run again for
 * each.
 *
 * @param strategies found already; what a remedy would bring is in them
 */
export function changesOf(
  input: ForecastInput,
  strategy: Strategy,
  base: Course,
  strategies: readonly PlanStrategy[],
): PlanChange[] {
  const machine = input.machine.expected;
  const path = input.path.expected;
  const run = (part: Parameters<typeof oneCourse>[3]) =>
    oneCourse(input, strategy, "expected", part);
  const change = (name: string, what: string, course: Course): PlanChange => ({
    change: name,
    text: `${what}: ${comparison(course, base)}`,
    outcome: course.outcome,
    totalMs: rounded(course.totalMs),
    wireBytes: rounded(course.wireBytes),
    downtimeMs: rounded(course.downtimeMs),
  });
  const rate = path.segments[0].bytesPerSecond;
  const cap = input.isCapped ? ", its cap raised" : "";
  const changes = [
    change(
      "doubleRate",
      `twice the rate (${shownRate(2 * rate)})${cap}`,
      run({
        path: scaled(path, 2),
        wishes: { rate: null },
      }),
    ),
  ];
  if (strategy !== "stop-and-copy" && isWriting(machine)) {
    changes.push(
      change(
        "halfWrites",
        "half of what the machine writes",
        run({ machine: writing(machine, 0.5) }),
      ),
      change(
        "quietMachine",
        "while the machine writes next to nothing, as it may at night (--hold, or --window)",
        run({ machine: writing(machine, 0.02) }),
      ),
    );
  }
  if (strategy === "precopy" && machine.isRunning) {
    changes.push(...budgets(input, base, strategies, run, change));
    changes.push(...remedies(strategies, change));
  }
  if (strategy !== "seed" && base.totalMs !== null) {
    changes.push(
      change("seeded", "soon after a run of --strategy seed", run({ machine: seeded(machine) })),
    );
  }
  return changes;
}

type Run = (part: Parameters<typeof oneCourse>[3]) => Course;
type Change = (name: string, what: string, course: Course) => PlanChange;

/** A smaller budget where it fits; where it does not, the one that would do. */
function budgets(
  input: ForecastInput,
  base: Course,
  strategies: readonly PlanStrategy[],
  run: Run,
  change: Change,
): PlanChange[] {
  const { maxDowntimeMs } = input;
  if (isFitting(base, input)) {
    const half = Math.round(maxDowntimeMs / 2);
    if (half < BUDGET_MS_MIN) return [];
    const course = run({ wishes: { maxDowntimeMs: half } });
    return [change("halfBudget", `a budget of ${half} ms instead of ${maxDowntimeMs}`, course)];
  }
  const wanted = strategies.find(({ whenOver, budgetMs }) =>
    whenOver.includes("ask") && budgetMs > maxDowntimeMs
  )?.budgetMs;
  if (wanted === undefined) return [];
  const course = run({ wishes: { maxDowntimeMs: wanted } });
  return [change("largerBudget", `a budget of ${wanted} ms instead of ${maxDowntimeMs}`, course)];
}

/** Remedies that were tried beside the ones that are wished, as far as they help. */
function remedies(strategies: readonly PlanStrategy[], change: Change): PlanChange[] {
  return strategies.slice(1).flatMap((tried) => {
    const [remedy] = tried.whenOver;
    const { diskBytesPerSecond, cpuShare } = tried.throttle;
    const taken = remedy === "throttleDisks" && diskBytesPerSecond !== null
      ? `disk writes slowed to ${shownRate(diskBytesPerSecond)}`
      : remedy === "throttleCpu" && cpuShare !== null
      ? `the processors slowed by ${Math.round(cpuShare * 100)} %`
      : null;
    if (tried.strategy !== "precopy" || taken === null) return [];
    return [
      change(remedy, `--when-over ${remedy}, with ${taken}`, {
        outcome: tried.outcome.expected,
        totalMs: tried.totalMs?.expected ?? null,
        wireBytes: tried.wireBytes?.expected ?? null,
        downtimeMs: tried.downtimeMs?.expected ?? null,
        budgetedMs: null,
        budgetMs: tried.budgetMs,
        reason: tried.reason,
        diskBytesPerSecond,
        cpuShare,
      }),
    ];
  });
}

/** For example `41 s instead of 78 s, 210 MB`, or `does not converge either`. */
function comparison(course: Course, base: Course): string {
  if (course.totalMs === null) {
    return base.totalMs === null ? "does not end either" : "would not end by itself";
  }
  const instead = base.totalMs === null ? "" : ` instead of ${shownDuration(base.totalMs)}`;
  const verb = base.totalMs === null && course.outcome === "switched" ? "would switch after " : "";
  const pause = course.downtimeMs === null
    ? ""
    : `, pausing for ${shownDuration(course.downtimeMs)}`;
  const bytes = course.wireBytes === null ? "" : `, ${shownBytes(course.wireBytes)}`;
  return `${verb}${shownDuration(course.totalMs)}${instead}${bytes}${pause}`;
}

function scaled(path: PathModel, factor: number): PathModel {
  const segments = path.segments.map((segment) => ({
    ...segment,
    bytesPerSecond: segment.bytesPerSecond * factor,
  }));
  return { ...path, segments };
}

function isWriting({ isRunning, written, disks }: MachineModel): boolean {
  const sets = [...written, ...disks.map((disk) => disk.written)];
  return isRunning && sets.some(({ bytesPerSecond }) => bytesPerSecond > 0);
}

/** The same places, written so much less often. */
function writing(machine: MachineModel, factor: number): MachineModel {
  const less = (set: MachineModel["written"][number]) => ({
    ...set,
    bytesPerSecond: set.bytesPerSecond * factor,
  });
  return {
    ...machine,
    written: machine.written.map(less),
    disks: machine.disks.map((disk) => ({ ...disk, written: less(disk.written) })),
  };
}

/** Nearly all is there already. */
function seeded(machine: MachineModel): MachineModel {
  return {
    ...machine,
    memoryWireRatio: machine.memoryWireRatio * SEEDED_RATIO,
    disks: machine.disks.map((disk) => ({
      ...disk,
      allocatedBytes: disk.allocatedBytes * SEEDED_RATIO,
    })),
  };
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value);
}
