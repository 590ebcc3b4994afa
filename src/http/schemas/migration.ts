import { z } from "@hono/zod-openapi";
import { ratePolicy, REMEDIES, switchWindow } from "../../migration/control/wishes.ts";
import { CHANGEABLE, migrationOptions, PRIORITIES } from "../../migration/options.ts";
import {
  CONVERGENCE_VERDICTS,
  MIGRATION_STATES,
  type MigrationReport,
  STRATEGIES,
} from "../../migration/report.ts";
import { errorNote } from "./problem.ts";
import { guestId } from "./path.ts";

const bytes = z.number();
const bytesOrNull = bytes.nullable();
const msOrNull = z.number().nullable();

const round = z.object({
  number: z.number().int(),
  kind: z.enum(["disk", "memory", "final"]),
  startedAt: z.string(),
  sentBytes: bytes,
  remainingBytes: bytesOrNull,
  durationMs: msOrNull,
});

const disk = z.object({
  id: z.string(),
  totalBytes: bytes,
  allocatedBytes: bytesOrNull,
  remainingBytes: bytesOrNull,
  verifiedBytes: bytes,
});

const decision = z.object({
  at: z.string(),
  action: z.string(),
  reason: z.string(),
  numbers: z.record(z.string(), z.number().nullable()),
});

/** The contract's report of a migration. */
export const migrationReport: z.ZodType<MigrationReport> = z.object({
  id: z.string(),
  guest: z.string(),
  from: z.string(),
  to: z.string(),
  side: z.enum(["source", "destination"]),
  strategy: z.enum(STRATEGIES),
  state: z.enum(MIGRATION_STATES),
  phase: z.string(),
  owner: z.string(),
  epoch: z.number().int(),
  machine: z.object({ site: z.string(), runState: z.enum(["running", "paused", "gone"]) }),
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  totalMs: msOrNull,
  downtimeMs: msOrNull,
  predictedDowntimeMs: msOrNull.openapi({
    description: "Forecast that the last switch was decided by",
  }),
  forecast: z.object({
    downtimeMs: z.number(),
    budgetedMs: z.number(),
    transferMs: z.number(),
    workMs: z.number(),
    pathMs: z.number(),
    wireBytes: bytes,
  }).nullable().openapi({
    description: "Of a switch that began now, renewed while the move copies. downtimeMs is the " +
      "pause as clients see it, budgetedMs the part that maxDowntimeMs limits: transferMs for the " +
      "wireBytes that cross in the pause, and workMs at both ends; pathMs is the " +
      "way there, and the repetition of packets that are likely to get lost",
  }),
  leadMs: msOrNull.openapi({
    description: "Time that memory would take from its start until the machine could switch",
  }),
  convergence: z.object({ verdict: z.enum(CONVERGENCE_VERDICTS), reason: z.string() }).nullable()
    .openapi({ description: "Whether what remains gets less; null while nobody has judged it" }),
  throttle: z.object({
    diskBytesPerSecond: z.number().nullable(),
    cpuShare: z.number().min(0).max(0.99).nullable(),
  }).openapi({
    description: "What is taken from the machine so that it writes less: a cap of its own disk " +
      "writes, a share of its CPU time; null: nothing",
  }),
  question: z.object({
    kind: z.enum(["budget"]),
    askedAt: z.string(),
    wantedDowntimeMs: z.number(),
    text: z.string(),
  }).nullable().openapi({
    description: "What the operator is asked; the move goes on as it is until it is answered",
  }),
  maxDowntimeMs: z.number(),
  hold: z.boolean(),
  rate: z.union([z.number(), ratePolicy]).nullable().openapi({ description: "As it was wished" }),
  rateBytesPerSecond: z.number().nullable().openapi({
    description: "The cap in force now, whoever found it; null: none",
  }),
  weight: z.number().int(),
  priority: z.enum(PRIORITIES),
  whenOver: z.array(z.enum(REMEDIES)),
  window: switchWindow.nullable(),
  progress: z.number().min(0).max(1),
  etaMs: msOrNull,
  memory: z.object({
    totalBytes: bytes,
    remainingBytes: bytesOrNull,
    dirtyBytesPerSecond: z.number().nullable(),
  }),
  disks: z.array(disk),
  rounds: z.array(round),
  wireBytes: z.object({ memory: bytes, disk: bytes, control: bytes, total: bytes }),
  savedBytes: z.object({
    zero: bytes,
    hole: bytes,
    unchanged: bytes,
    delta: bytes,
    duplicate: bytes,
    compression: bytes,
    free: bytes,
    warm: bytes,
    replaced: bytes,
  }),
  decisions: z.array(decision),
  findings: z.array(errorNote.extend({ severity: z.string() })),
  error: errorNote.nullable(),
  opaqueReason: z.string().nullable(),
  opaqueBytes: bytes,
  repairs: z.number().int(),
  leftovers: z.array(z.string()),
  rollbackOf: z.string().nullable().openapi({
    description: "The completed move that this one brings the machine back from",
  }),
  rollback: z.object({
    migration: z.string(),
    state: z.enum(MIGRATION_STATES),
    error: errorNote.nullable(),
  }).nullable().openapi({
    description: "The last try to bring the machine back from where this move took it, a move of " +
      "its own. While it goes on, state and machine are its; after it state is rolledBack",
  }),
  adjudication: z.object({
    owner: z.string(),
    epoch: z.number().int(),
    by: z.string(),
    reason: z.string(),
    at: z.string(),
  }).nullable().openapi({
    description: "What an operator decided of the move's doubt, at either site: who, when and why",
  }),
}).openapi("Migration");

const { rollbackOf: _, ...wishes } = migrationOptions.shape;

/** Body of `POST /v1/migrations`. A move back is asked for with `rollback`. */
export const migrationRequest = z.strictObject({
  guest: guestId,
  /** Name of the peer that the machine goes to. */
  to: z.string().min(1).max(64),
  ...wishes,
});

const { shape } = migrationOptions;

/** Body of `PATCH /v1/migrations/{id}`: the same without defaults, for what is not named stays. */
export const migrationChange = z.strictObject({
  rate: shape.rate.unwrap().optional(),
  maxDowntimeMs: shape.maxDowntimeMs.unwrap().optional(),
  weight: shape.weight.unwrap().optional(),
  priority: shape.priority.unwrap().optional(),
  whenOver: shape.whenOver.unwrap().optional(),
  window: shape.window.unwrap().optional(),
  hold: shape.hold.unwrap().optional(),
  holdMemoryMs: shape.holdMemoryMs.unwrap().optional(),
}).refine((change) => Object.keys(change).length > 0, `at least one of ${CHANGEABLE.join(", ")}`);

/** Body of `POST /v1/migrations/{id}/answer`. */
export const questionAnswer = z.strictObject({
  accept: z.boolean().openapi({ description: "False: the next remedy of whenOver is tried" }),
  maxDowntimeMs: shape.maxDowntimeMs.unwrap().optional().meta({
    description: "The budget that is granted; without it, the one that was asked for",
  }),
}).refine(({ accept, maxDowntimeMs }) => accept || maxDowntimeMs === undefined, {
  path: ["maxDowntimeMs"],
  message: "a budget goes with accept: true",
});

/** Body of `POST /v1/migrations/{id}/adjudicate`. */
export const adjudication = z.strictObject({
  /** Site that may run the machine from now on. */
  owner: z.string().min(1).max(64),
  reason: z.string().trim().min(1).max(1_000),
  /** Decide although the other side could be asked. */
  force: z.boolean().default(false),
  /** Who decides; recorded with the reason. */
  by: z.string().trim().min(1).max(200).default("API token"),
});

export const deletedLeftovers = z.object({ deleted: z.array(z.string()) });
