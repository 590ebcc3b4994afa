import type { DirtySample } from "../../guest/dirty_sample.ts";
import type { GuestDescription } from "../../guest/guest.ts";
import type { PathMeasurement, PathProbe } from "../../link/peer_link.ts";
import type { ModelledMove } from "../../migration/control/model.ts";
import type { Remedy } from "../../migration/control/wishes.ts";
import type { MigrationOptions } from "../../migration/options.ts";
import type { Strategy } from "../../migration/report.ts";

/** From the least to the most. */
export interface PlanRange {
  low: number;
  expected: number;
  high: number;
}

/** The same of something that may have no end in the worse cases: null. */
export interface OpenRange {
  low: number;
  expected: number | null;
  high: number | null;
}

/** How a forecast move ends; `held`, `asked` and `waiting` have not ended when nothing more comes. */
export type PlanOutcome = ModelledMove["end"] | "seeded";
export const PLAN_OUTCOMES = [
  "switched",
  "seeded",
  "held",
  "gaveUp",
  "asked",
  "waiting",
] as const satisfies readonly PlanOutcome[];

/** What a plan is asked for. */
export interface PlanRequest {
  readonly guest: string;
  readonly to: string;
  /** How long the machine is watched. */
  readonly seconds: number;
  /** Without it, all that there are. */
  readonly strategy?: Strategy;
  readonly maxDowntimeMs: number;
  readonly rate: MigrationOptions["rate"];
  readonly whenOver: readonly Remedy[];
}

/** Forecast of a move, by strategy. */
export interface Plan {
  guest: string;
  to: string;
  path: PathMeasurement;
  /** What a probe of the path saw; null where there was no connection. */
  probe: PathProbe | null;
  /** What the machine was seen to write; null where it was not watched. */
  sample: DirtySample | null;
  /** What the peer said of its side; null where it was not there to be asked. */
  destination: PlanDestination | null;
  /** What stands in the way of a move, at both sites. */
  findings: { severity: string; code: string; message: string; hint: string }[];
  /** What durations are computed with. */
  rate: { source: "probed" | "measured" | "assumed"; bytesPerSecond: PlanRange };
  strategies: PlanStrategy[];
  /** What would change the expected case of the first strategy. */
  changes: PlanChange[];
}

/** The machine that waits at the destination, and what is there already. */
export interface PlanDestination {
  description: GuestDescription;
  /** Memory of its host that is free; null while unknown. */
  availableMemoryBytes: number | null;
  held: {
    memoryBytes: number;
    disks: readonly { id: string; bytes: number; isKnown: boolean }[];
    storeBytes: number;
  };
}

/** One way to move the machine. */
export interface PlanStrategy {
  strategy: Strategy;
  /** What is tried when the pause does not fit. */
  whenOver: Remedy[];
  /** Null where not even the best case ends. */
  totalMs: OpenRange | null;
  wireBytes: OpenRange | null;
  downtimeMs: OpenRange | null;
  /** True: in every case the pause fits the budget. False: in the expected one it does not. */
  fits: boolean | null;
  /** In the best, the expected and the worst case. */
  outcome: { low: PlanOutcome; expected: PlanOutcome; high: PlanOutcome };
  /** Of the expected case, in words. */
  reason: string;
  /** The budget that the expected case switches with: larger where it asked for it. */
  budgetMs: number;
  /** What the expected case takes from the machine; null: nothing. */
  throttle: { diskBytesPerSecond: number | null; cpuShare: number | null };
  remarks: string[];
}

/** What the expected case would become if one thing were different. */
export interface PlanChange {
  change: string;
  /** A sentence with the numbers. */
  text: string;
  outcome: PlanOutcome;
  /** Null where it does not end. */
  totalMs: number | null;
  wireBytes: number | null;
  downtimeMs: number | null;
}
