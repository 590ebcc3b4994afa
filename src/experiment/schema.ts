import { z } from "zod";
import { changeSchema, LIMITS } from "../emulator/profile_schema.ts";
import { integer, number, object, oneOf, text } from "../emulator/schema_parts.ts";
import { STRATEGIES } from "../migration/report.ts";
import { SWITCHABLE } from "../migration/options.ts";
import { ratePolicy, REMEDIES } from "../migration/control/wishes.ts";

/** Ways to move a machine: through the gateways, or by QEMU alone. */
export const WAYS = ["causeway", "qemu"] as const;
/** How QEMU alone moves memory. */
export const QEMU_SETTINGS = ["plain", "xbzrle", "multifd-zstd", "auto-converge"] as const;
export const CONGESTION_CONTROLS = ["cubic", "bbr"] as const;
/** Figures of a row that something published can stand beside. */
export const METRICS = [
  "totalMs",
  "downtimeMs",
  "observedDowntimeMs",
  "wireBytes",
  "firstTotalMs",
  "firstWireBytes",
] as const;
export type Metric = typeof METRICS[number];

const NAME = /^[a-z0-9][a-z0-9.+-]{0,39}$/;
const nameError = "1 to 40 of a-z, 0-9, dot, plus and hyphen, a letter or digit first";
const name = z.string({ error: nameError }).regex(NAME, { error: nameError });
const flag = z.boolean({ error: "true or false" });
const MIB = { from: 1, to: 65_536 };
const RATE = { from: 0, to: 1e9 };
const KIB_RATE = { from: 0, to: 1_000_000 };

/** A list with at least one entry. */
function list<T extends z.ZodType>(entry: T, what: string, most = 100) {
  const error = `a list of 1 to ${most} ${what}`;
  return z.array(entry, { error }).min(1, { error }).max(most, { error });
}

/** A name in wan-profiles/ or a path, or one of these with something changed in both directions. */
const profile = z.union([
  text(200),
  object({ name, base: text(200), change: changeSchema }),
], { error: "the name or path of a profile, or an object with the fields name, base, change" });

const guest = z.discriminatedUnion("kind", [
  object({
    name,
    kind: z.literal("reference"),
    memoryMiB: integer(MIB),
    disks: z.array(object({ sizeMiB: integer(MIB) }), { error: "a list of disks" }).max(8, {
      error: "at most 8 disks",
    }).default([]),
    /** So many of them move at the same time. */
    count: integer({ from: 1, to: 8 }).default(1),
  }),
  object({
    name,
    kind: z.literal("qemu"),
    memoryMiB: integer({ from: 128, to: 8192 }),
    diskMiB: integer(MIB),
    /** What the disk holds before the workload writes to it. */
    baseMiB: integer({ from: 0, to: 65_536 }).default(0),
  }),
], { error: 'an object whose kind is "reference" or "qemu"' });

const workload = object({
  name,
  /** Of a reference guest; bytes per second. */
  reference: object({
    hotMiB: number({ from: 0, to: 65_536 }).optional(),
    coldRatio: number(LIMITS.ratio).optional(),
    memoryBytesPerSecond: number(RATE).optional(),
    diskBytesPerSecond: number(RATE).optional(),
    silentRatio: number(LIMITS.ratio).optional(),
    textRatio: number(LIMITS.ratio).optional(),
    randomRatio: number(LIMITS.ratio).optional(),
    freeMiB: number({ from: 0, to: 65_536 }).optional(),
  }).default({}),
  /** Of a real machine. */
  qemu: object({
    memoryMiB: integer({ from: 0, to: 8192 }).optional(),
    memoryKiBPerSecond: integer(KIB_RATE).optional(),
    hotMiB: integer({ from: 0, to: 8192 }).optional(),
    hotKiBPerSecond: integer(KIB_RATE).optional(),
    diskKiBPerSecond: integer(KIB_RATE).optional(),
    diskBlockKiB: integer({ from: 4, to: 1024 }).optional(),
  }).default({}),
});

const options = object({
  strategy: oneOf(STRATEGIES).optional(),
  maxDowntimeMs: integer({ from: 1, to: 86_400_000 }).optional(),
  handover: oneOf(["fast", "confirmed"]).optional(),
  rate: z.union([integer({ from: 1024, to: 5e9 }), ratePolicy], {
    error: "bytes per second, or an object with a policy",
  }).optional(),
  whenOver: z.array(oneOf(REMEDIES), { error: `a list of ${REMEDIES.join(", ")}` }).optional(),
  disable: z.array(oneOf(SWITCHABLE), { error: `a list of ${SWITCHABLE.join(", ")}` }).optional(),
});

const strategy = z.discriminatedUnion("way", [
  object({
    name,
    way: z.literal("causeway"),
    options: options.default({}),
    /** The machine goes back after so long, and the way back is what the row measures. */
    backAfterSeconds: integer({ from: 1, to: 3600 }).nullable().default(null),
  }),
  object({
    name,
    way: z.literal("qemu"),
    setting: oneOf(QEMU_SETTINGS).default("plain"),
    congestion: oneOf(CONGESTION_CONTROLS).default("cubic"),
  }),
], { error: 'an object whose way is "causeway" or "qemu"' });

/** Times count from the beginning of the move. */
const fault = z.discriminatedUnion("kind", [
  object({
    kind: z.literal("outage"),
    atMs: integer(LIMITS.atMs),
    durationMs: integer(LIMITS.outageMs),
    direction: oneOf(["forward", "backward", "both"]).default("both"),
    mode: oneOf(["drop", "hold"]).default("drop"),
  }),
  object({
    kind: z.literal("kill"),
    atMs: integer(LIMITS.atMs),
    gateway: oneOf(["source", "destination"]),
  }),
], { error: 'an object whose kind is "outage" or "kill"' });

const selection = object({
  profile: text(200).optional(),
  guest: name.optional(),
  workload: name.optional(),
  strategy: name.optional(),
  faults: name.optional(),
});

const published = object({
  what: text(300),
  value: number({ from: -1e15, to: 1e15 }),
  unit: text(30),
  /** Which of our figures stands beside it, and of which cells; null: none can. */
  metric: oneOf(METRICS).nullable().default(null),
  of: selection.default({}),
  /** Where the figure is a ratio: of the cells in the same setting that ours is divided by. */
  per: selection.nullable().default(null),
  where: text(200),
});

const texts = z.array(text(600), { error: "a list of texts" })
  .max(100, { error: "at most 100 texts" })
  .default([]);

/** The form of a scenario file. */
export const scenarioSchema = object({
  name,
  description: text(1000),
  /** A study that it follows. */
  source: text(1000).nullable().default(null),
  matrix: object({
    profiles: list(profile, "profiles"),
    guests: list(guest, "guests"),
    workloads: list(workload, "workloads").default([{ name: "default", reference: {}, qemu: {} }]),
    strategies: list(strategy, "strategies"),
    faults: list(
      object({ name, events: z.array(fault, { error: "a list of faults" }).max(100) }),
      "timelines of faults",
    ).default([{ name: "none", events: [] }]),
    seeds: list(integer({ from: 0, to: 2 ** 32 - 1 }), "seeds").default([1]),
    repetitions: integer({ from: 1, to: 1000 }).default(1),
  }),
  /** Combinations that are not run: every cell that has all of the named values. */
  leaveOut: z.array(selection, { error: "a list of selections" }).max(1000, {
    error: "at most 1000 selections",
  }).default([]),
  /** Real machines are looked into before they move, for the limit; they stand still for that. */
  limit: flag.default(true),
  /** Of each move: how often it is looked at. */
  sampleMs: integer({ from: 100, to: 60_000 }).default(500),
  /** The machine runs for so long before it moves. */
  warmUpSeconds: number({ from: 0, to: 600 }).default(2),
  stop: object({
    /** A cell that takes longer has failed. */
    cellSeconds: integer({ from: 1, to: 86_400 }).default(900),
    /** A move that has not ended by itself is ended by force; null: never. */
    forceSeconds: integer({ from: 1, to: 86_400 }).nullable().default(null),
    /** No further cell after so many that failed; null: all run. */
    failuresMax: integer({ from: 1, to: 100_000 }).nullable().default(null),
    /** No cell begins after so long; null: no limit. Continue with the same command. */
    minutes: number({ from: 0.01, to: 100_000 }).nullable().default(null),
    /** Repetitions end early where they agree; null: all run. */
    settled: object({
      repetitionsMin: integer({ from: 2, to: 1000 }),
      /** (max - min) / median of the total time. */
      spreadRatio: number(LIMITS.ratio),
    }).nullable().default(null),
  }).prefault({}),
  published: z.array(published, { error: "a list of published figures" }).max(100, {
    error: "at most 100 published figures",
  }).default([]),
  comparable: texts,
  notComparable: texts,
});

/** A scenario as it is used: every default is filled in. */
export type Scenario = z.output<typeof scenarioSchema>;
export type ProfileChoice = Scenario["matrix"]["profiles"][number];
export type Guest = Scenario["matrix"]["guests"][number];
export type Workload = Scenario["matrix"]["workloads"][number];
export type Strategy = Scenario["matrix"]["strategies"][number];
export type FaultLine = Scenario["matrix"]["faults"][number];
export type Fault = FaultLine["events"][number];
export type Selection = z.output<typeof selection>;
export type Published = Scenario["published"][number];
