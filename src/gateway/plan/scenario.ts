import { type ModelledMove, runMove } from "../../migration/control/model.ts";
import type { MachineModel, PathModel } from "../../migration/control/model.ts";
import type { Wishes } from "../../migration/control/wishes.ts";
import { fixedCap } from "../../migration/fixed_cap.ts";
import type { Strategy } from "../../migration/report.ts";
import type { End } from "./ends.ts";
import type { PlanOutcome } from "./report.ts";

/** Every plan is made with it: the same figures give the same forecast. */
const SEED = 1;
/**
 * What the model leaves out: both machines are made ready and the old one is ended (work, and round
 * trips of offer, begin and end).
 */
const AROUND_MS: Readonly<Record<End, number>> = { low: 200, expected: 500, high: 1_500 };
const AROUND_ROUND_TRIPS = 3;
/** A question is answered with yes after so long. */
const ANSWER_MS = 10_000;
/** A move that takes longer than this many times its plain copy, and half an hour, has no end. */
const HORIZON_FACTOR = 1.2;
const HORIZON_MS = 30 * 60_000;

/** A move whose course is wanted. */
export interface Scenario {
  readonly machine: MachineModel;
  readonly path: PathModel;
  readonly wishes: Wishes;
  readonly strategy: Strategy;
  /** The wall clock at the start, for schedules. */
  readonly startWallMs: number;
  readonly end: End;
}

/** Its course, as far as a plan tells it. */
export interface Course {
  readonly outcome: PlanOutcome;
  /** Null where it does not end by itself. */
  readonly totalMs: number | null;
  readonly wireBytes: number | null;
  /** Null where the machine does not pause. */
  readonly downtimeMs: number | null;
  /** The part of it that the budget limits. */
  readonly budgetedMs: number | null;
  readonly budgetMs: number;
  readonly reason: string;
  readonly diskBytesPerSecond: number | null;
  readonly cpuShare: number | null;
}

/** Runs the model of a move once: pure, and the same for the same scenario. */
export function courseOf(scenario: Scenario): Course {
  const { strategy, machine } = scenario;
  if (strategy === "seed") return seedingOf(scenario);
  const move = modelled(scenario, strategy);
  const hasEnded = move.end === "switched" || move.end === "gaveUp";
  // A cap that was taken away again, at the end, was in force all the same.
  const caps = move.actions.flatMap((action) =>
    action.kind === "throttleDisks" ? action.bytesPerSecond ?? [] : []
  );
  const shares = move.actions.flatMap((action) =>
    action.kind === "throttleCpu" ? action.share : []
  );
  return {
    outcome: move.end,
    totalMs: hasEnded ? move.totalMs + aroundMs(scenario) : null,
    wireBytes: hasEnded ? move.wireBytes : null,
    downtimeMs: machine.isRunning ? move.downtimeMs : null,
    budgetedMs: move.budgetedMs,
    budgetMs: move.budgetMs,
    reason: move.reason,
    diskBytesPerSecond: caps.at(-1) ?? null,
    cpuShare: shares.at(-1) ?? null,
  };
}

/** A seeding run copies everything once, whatever is written meanwhile, and pauses nothing. */
function seedingOf(scenario: Scenario): Course {
  const still = {
    ...scenario.machine,
    written: [],
    disks: scenario.machine.disks.map((disk) => ({
      ...disk,
      written: { bytes: 0, bytesPerSecond: 0 },
    })),
  };
  const move = modelled({ ...scenario, machine: still }, "precopy");
  return {
    outcome: "seeded",
    totalMs: move.totalMs - (move.downtimeMs ?? 0) + aroundMs(scenario),
    wireBytes: move.wireBytes,
    downtimeMs: null,
    budgetedMs: null,
    budgetMs: scenario.wishes.maxDowntimeMs,
    reason: "disks and memory are copied once, the machine stays",
    diskBytesPerSecond: null,
    cpuShare: null,
  };
}

function modelled(
  { machine, path, wishes, startWallMs }: Scenario,
  strategy: "precopy" | "stop-and-copy",
): ModelledMove {
  const copiedBytes = machine.disks.reduce(
    (sum, { allocatedBytes }) => sum + allocatedBytes * machine.diskWireRatio,
    machine.memoryBytes * machine.memoryWireRatio,
  );
  const rate = Math.min(path.segments[0].bytesPerSecond, fixedCap(wishes.rate) ?? Infinity);
  const copyMs = copiedBytes / rate * 1000;
  const horizonMs = HORIZON_FACTOR * copyMs + HORIZON_MS;
  const answer = { afterMs: ANSWER_MS, accept: true };
  return runMove(machine, path, wishes, SEED, { strategy, answer, startWallMs, horizonMs });
}

function aroundMs({ path, end }: Scenario): number {
  return AROUND_MS[end] + AROUND_ROUND_TRIPS * path.segments[0].roundTripMs;
}
