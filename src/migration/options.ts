import { z } from "zod";
import { STRATEGIES } from "./report.ts";
import { TECHNIQUES } from "../codec/techniques.ts";
import { PRIORITIES, type Priority, SHARE_DEFAULT, WEIGHT_MAX } from "../wire/migration_share.ts";
import { ratePolicy, remedies, REMEDIES_DEFAULT, switchWindow } from "./control/wishes.ts";

/** Smallest budget that makes sense: below it the clock's own steps decide. */
export const DOWNTIME_BUDGET_MS_MIN = 1;
export const DOWNTIME_BUDGET_MS_DEFAULT = 300;

/**
 * What an experiment can do without, by its name in a report's `savedBytes`: ways of the codec, and
 * leaving out what the machine calls free.
 */
export const SWITCHABLE = [...TECHNIQUES, "free"] as const;
export type Switchable = typeof SWITCHABLE[number];

export { PRIORITIES, type Priority };

const HOLD_MEMORY_MS_DEFAULT = 600_000;
/** A month; a hold that keeps memory in step for longer costs the link more than it saves. */
const HOLD_MEMORY_MS_MAX = 31 * 86_400_000;

/** What a move was asked for; part of its first ledger event, so a restart knows it. */
export const migrationOptions = z.object({
  strategy: z.enum(STRATEGIES).default("precopy"),
  maxDowntimeMs: z.number().int().min(DOWNTIME_BUDGET_MS_MIN).max(86_400_000)
    .default(DOWNTIME_BUDGET_MS_DEFAULT),
  hold: z.boolean().default(false),
  /** Cap in bytes per second, or how it is found; null is none. */
  rate: z.union([z.number().int().positive(), ratePolicy]).nullable()
    .meta({
      description: "Bytes per second on the wire at most, or a policy that finds the cap while " +
        "the move runs; null: as fast as the path allows",
    }).default(null),
  /** Share of the link beside other moves of the same priority. */
  weight: z.number().int().min(1).max(WEIGHT_MAX)
    .meta({ description: "Share of the link beside other moves of the same priority" })
    .default(SHARE_DEFAULT.weight),
  priority: z.enum(PRIORITIES)
    .meta({ description: "Moves of a higher priority take the link first; none starves" })
    .default("normal"),
  /** What is tried when the machine writes faster than the link carries, in this order. */
  whenOver: remedies
    .meta({
      description: "What is tried when the pause does not fit the budget and will not, in this " +
        "order; wait and giveUp end the list",
    }).default(() => [...REMEDIES_DEFAULT]),
  /** When the switch may happen; null is at any time. */
  window: switchWindow.nullable()
    .meta({ description: "When the switch may happen; null: as soon as the pause fits" })
    .default(null),
  /** Of a hold: how long memory is kept in step before only the disks are; ms. */
  holdMemoryMs: z.number().int().min(0).max(HOLD_MEMORY_MS_MAX)
    .meta({
      description: "While held, memory is kept in step for this long, then only the disks are; " +
        "0: memory starts with the word or the window",
    }).default(HOLD_MEMORY_MS_DEFAULT),
  handover: z.enum(["fast", "confirmed"]).default("fast"),
  keepSource: z.boolean().default(false),
  /** The completed move that this one brings the machine back from; set by `rollback` alone. */
  rollbackOf: z.string().max(64).nullable().default(null),
  /** Ways to send less that are not to be used, for experiments. */
  disable: z.array(z.enum(SWITCHABLE)).max(SWITCHABLE.length).default([]),
});
export type MigrationOptions = z.infer<typeof migrationOptions>;

/** What of it can be changed while the move runs. */
export const CHANGEABLE = [
  "rate",
  "maxDowntimeMs",
  "weight",
  "priority",
  "whenOver",
  "window",
  "hold",
  "holdMemoryMs",
] as const satisfies readonly (keyof MigrationOptions)[];

/** New values of some of them; what is not named stays. */
export type MigrationChanges = Partial<Pick<MigrationOptions, typeof CHANGEABLE[number]>>;
