import { z } from "zod";

const rate = z.number().int().positive();
const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, "a time of day, HH:MM in UTC");

/** Share of the link that `fair` keeps however much other traffic there is. */
export const FAIR_SHARE_LEAST = 0.05;

/** At most this. */
export const fixedPolicy = z.strictObject({ policy: z.literal("fixed"), bytesPerSecond: rate });

/**
 * Clark et al., NSDI 2005, section 5.1: the first round at the least, each later one at the rate
 * at which memory got dirty in the one before plus an increment, the last at full speed.
 */
export const clarkPolicy = z.strictObject({
  policy: z.literal("clark"),
  minBytesPerSecond: rate,
  maxBytesPerSecond: rate,
  incrementBytesPerSecond: rate.default(6_250_000),
}).refine(({ minBytesPerSecond, maxBytesPerSecond }) => minBytesPerSecond <= maxBytesPerSecond, {
  path: ["maxBytesPerSecond"],
  message: "it must not be below minBytesPerSecond",
});

/** What other traffic leaves: less as soon as a queue grows on the path. */
export const fairPolicy = z.strictObject({
  policy: z.literal("fair"),
  maxBytesPerSecond: rate.nullable().default(null),
});

/** By time of day in UTC; outside of all entries there is no cap. The first that holds counts. */
export const schedulePolicy = z.strictObject({
  policy: z.literal("schedule"),
  entries: z.array(z.strictObject({
    from: timeOfDay,
    /** Not included; where it is not after `from` it is on the next day. */
    until: timeOfDay,
    /** On which `from` lies; 0 is Sunday. Without days, every day. */
    days: z.array(z.number().int().min(0).max(6)).min(1).max(7).optional(),
    bytesPerSecond: rate.nullable(),
  })).min(1).max(48),
});

/** How the rate of a move is found, by name. All rates are bytes per second on the wire. */
export const ratePolicy = z.discriminatedUnion("policy", [
  fixedPolicy,
  clarkPolicy,
  fairPolicy,
  schedulePolicy,
]);
export type RatePolicy = z.infer<typeof ratePolicy>;
export type SchedulePolicy = z.infer<typeof schedulePolicy>;

/** Below this not even a link's own heartbeats pass in time. */
const LINK_RATE_MIN = 1024;

/** Cap over everything that goes to one peer; the other policies are about one move's rounds. */
export const linkRate = z.union([
  z.number().int().min(LINK_RATE_MIN),
  z.discriminatedUnion("policy", [fixedPolicy, schedulePolicy]),
]).nullable().refine(
  (wished) => ratesOf(wished).every((bytesPerSecond) => bytesPerSecond >= LINK_RATE_MIN),
  `a link needs at least ${LINK_RATE_MIN} bytes per second`,
);

/** A figure is the same as `fixed`; null is no cap. */
export type LinkRate = number | z.infer<typeof fixedPolicy> | SchedulePolicy | null;

function ratesOf(wished: LinkRate): number[] {
  if (wished === null || typeof wished === "number") return [];
  if (wished.policy === "fixed") return [wished.bytesPerSecond];
  return wished.entries.flatMap(({ bytesPerSecond }) => bytesPerSecond ?? []);
}

/** What may be done about a machine that writes faster than the link carries, by name. */
export const REMEDIES = ["throttleDisks", "throttleCpu", "ask", "wait", "giveUp"] as const;

/** One of them. */
export type Remedy = typeof REMEDIES[number];

/** After these nothing is left to try. */
const LAST_REMEDIES: readonly Remedy[] = ["wait", "giveUp"];

/**
 * Remedies in the order in which they are tried; `wait` and `giveUp` end the list. One that ends
 * with neither waits.
 */
export const remedies = z.array(z.enum(REMEDIES)).min(1).max(REMEDIES.length)
  .refine((list) => new Set(list).size === list.length, "each remedy at most once")
  .refine(
    (list) => list.slice(0, -1).every((remedy) => !LAST_REMEDIES.includes(remedy)),
    "nothing comes after wait or giveUp",
  );
export const REMEDIES_DEFAULT: readonly Remedy[] = ["wait"];

/** With a zone: a time without one means another moment at each site. */
const moment = z.iso.datetime({
  offset: true,
  error: "a time with its zone, such as 2026-01-31T02:00:00Z",
});

/** When the switch may happen; times RFC 3339. */
export const switchWindow = z.strictObject({
  from: moment,
  /** Null: from then on. */
  until: moment.nullable().default(null),
}).refine(({ from, until }) => until === null || Date.parse(until) > Date.parse(from), {
  path: ["until"],
  message: "it must be later than `from`",
});
export type SwitchWindow = z.infer<typeof switchWindow>;

/** Everything an operator can want of a move while it runs. */
export interface Wishes {
  readonly maxDowntimeMs: number;
  /** A number is the same as `fixed`; null is as fast as the path allows. */
  readonly rate: number | RatePolicy | null;
  readonly whenOver: readonly Remedy[];
  /** Stay in step and wait for the word. */
  readonly hold: boolean;
  readonly window: SwitchWindow | null;
  /**
   * The word was given. While memory is copied: switch as soon as the link is there, whatever the
   * forecast says. Before that: memory starts now, and the switch follows when it fits.
   */
  readonly switchNow: boolean;
  /** How often it was: each new word counts by itself, though an earlier one stands. */
  readonly switchWords?: number;
  /**
   * How long a hold keeps memory in step before only the disks are; ms, 0: memory never starts
   * before the word or the window.
   */
  readonly holdMemoryMs: number;
}
