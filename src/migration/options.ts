import { z } from "zod";
import { STRATEGIES } from "./report.ts";
import { TECHNIQUES } from "../codec/techniques.ts";

/** Smallest budget that makes sense: below it the clock's own steps decide. */
export const DOWNTIME_BUDGET_MS_MIN = 1;
export const DOWNTIME_BUDGET_MS_DEFAULT = 300;

/**
 * What an experiment can do without, by its name in a report's `savedBytes`: ways of the codec, and
 * leaving out what the machine calls free.
 */
export const SWITCHABLE = [...TECHNIQUES, "free"] as const;
export type Switchable = typeof SWITCHABLE[number];

/** What a move was asked for; part of its first ledger event, so a restart knows it. */
export const migrationOptions = z.object({
  strategy: z.enum(STRATEGIES).default("precopy"),
  maxDowntimeMs: z.number().int().min(DOWNTIME_BUDGET_MS_MIN).max(86_400_000)
    .default(DOWNTIME_BUDGET_MS_DEFAULT),
  hold: z.boolean().default(false),
  /** Cap in bytes per second; null is none. */
  rate: z.number().int().positive().nullable().default(null),
  handover: z.enum(["fast", "confirmed"]).default("fast"),
  keepSource: z.boolean().default(false),
  /** Ways to send less that are not to be used, for experiments. */
  disable: z.array(z.enum(SWITCHABLE)).max(SWITCHABLE.length).default([]),
});
export type MigrationOptions = z.infer<typeof migrationOptions>;
