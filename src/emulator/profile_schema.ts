import { z } from "zod";
import { integer, number, object, oneOf, text } from "./schema_parts.ts";

/** Allowed ranges; what a timeline changes obeys the same ones. */
export const LIMITS = {
  rateBitsPerSecond: { from: 8_000, to: 40e9 },
  delayMs: { from: 0, to: 60_000 },
  ratio: { from: 0, to: 1 },
  /** At least one packet of the usual size fits. */
  queueBytes: { from: 1_500, to: 512 * 1024 * 1024 },
  atMs: { from: 0, to: 86_400_000 },
  outageMs: { from: 1, to: 86_400_000 },
  periodMs: { from: 1, to: 86_400_000 },
} as const;

/** More than any scenario needs, few enough to look through for each segment. */
export const MAX_TIMELINE_EVENTS = 1_000;

const ratio = number(LIMITS.ratio);

const burstLoss = object({
  goodToBadRatio: ratio,
  badToGoodRatio: ratio,
  lossInGoodRatio: ratio.default(0),
  lossInBadRatio: ratio.default(1),
}).nullable();

const direction = {
  rateBitsPerSecond: integer(LIMITS.rateBitsPerSecond),
  delayMs: number(LIMITS.delayMs),
  jitterMs: number(LIMITS.delayMs),
  reorder: z.boolean({ error: "true or false" }),
  lossRatio: ratio,
  burstLoss,
  duplicateRatio: ratio,
  corruptRatio: ratio,
  queueBytes: integer(LIMITS.queueBytes),
};

/** A direction as written: rate and delay are needed, what is missing does nothing. */
export const directionSchema = object({
  ...direction,
  jitterMs: direction.jitterMs.default(0),
  reorder: direction.reorder.default(false),
  lossRatio: ratio.default(0),
  burstLoss: burstLoss.default(null),
  duplicateRatio: ratio.default(0),
  corruptRatio: ratio.default(0),
  queueBytes: direction.queueBytes.optional(),
});

/** A change of some settings, as in a timeline. */
export const changeSchema = object({
  rateBitsPerSecond: direction.rateBitsPerSecond.optional(),
  delayMs: direction.delayMs.optional(),
  jitterMs: direction.jitterMs.optional(),
  reorder: direction.reorder.optional(),
  lossRatio: ratio.optional(),
  burstLoss: burstLoss.optional(),
  duplicateRatio: ratio.optional(),
  corruptRatio: ratio.optional(),
  queueBytes: direction.queueBytes.optional(),
});

const eventSchema = object({
  atMs: integer(LIMITS.atMs),
  direction: oneOf(["forward", "backward", "both"]).default("both"),
  set: changeSchema.optional(),
  outageMs: integer(LIMITS.outageMs).optional(),
  outageMode: oneOf(["drop", "hold"]).default("drop"),
});

/** The form of a file in wan-profiles/. */
export const profileSchema = object({
  name: text(64),
  description: text(500),
  source: text(2_000),
  forward: directionSchema,
  backward: directionSchema.optional(),
  timeline: z.array(eventSchema, { error: "a list of events" })
    .max(MAX_TIMELINE_EVENTS, { error: `at most ${MAX_TIMELINE_EVENTS} events` })
    .default([]),
  timelinePeriodMs: integer(LIMITS.periodMs).nullable().default(null),
});

/** What `profileSchema` gives. */
export type ProfileFile = z.output<typeof profileSchema>;
