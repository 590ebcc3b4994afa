import type { MachineModel, PathModel } from "../../migration/control/model.ts";
import type { Remedy, Wishes } from "../../migration/control/wishes.ts";
import type { Strategy } from "../../migration/report.ts";
import type { End, Ends } from "./ends.ts";
import { type Course, courseOf } from "./scenario.ts";

/** A pause is decided by a forecast of it, and the work at both ends varies by a fifth. */
const FIT_TOLERANCE = 1.2;

/** Everything that a forecast is made from: plain data, it goes to a worker. */
export interface ForecastInput {
  readonly machine: Ends<MachineModel>;
  readonly path: Ends<PathModel>;
  readonly isCapped: boolean;
  /** Null: all that move the machine. */
  readonly strategy: Strategy | null;
  readonly maxDowntimeMs: number;
  readonly rate: Wishes["rate"];
  readonly whenOver: readonly Remedy[];
  readonly startWallMs: number;
  readonly remarks: readonly string[];
}

/** @param part what of the input is different, for one case */
export function oneCourse(
  input: ForecastInput,
  strategy: Strategy,
  end: End,
  part: { machine?: MachineModel; path?: PathModel; wishes?: Partial<Wishes> } = {},
): Course {
  const { maxDowntimeMs, rate, whenOver, startWallMs } = input;
  const { machine = input.machine[end], path = input.path[end] } = part;
  return courseOf({
    machine,
    path,
    strategy,
    startWallMs,
    end,
    wishes: {
      ...{ maxDowntimeMs, rate, whenOver },
      ...{ hold: false, window: null, switchNow: false, holdMemoryMs: 0 },
      ...part.wishes,
    },
  });
}

/** It switches, and within the budget that was wished, as near as hand-overs are like each other. */
export function isFitting(
  { outcome, budgetedMs }: Course,
  { maxDowntimeMs }: Pick<ForecastInput, "maxDowntimeMs">,
): boolean {
  return outcome === "switched" && (budgetedMs ?? 0) <= FIT_TOLERANCE * maxDowntimeMs;
}
