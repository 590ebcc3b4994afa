import { z } from "zod";
import { ratePolicy, REMEDIES, switchWindow } from "./control/wishes.ts";
import { PRIORITIES } from "./options.ts";
import {
  CONVERGENCE_VERDICTS,
  MIGRATION_STATES,
  type MigrationReport,
  STRATEGIES,
} from "./report.ts";

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

const errorNote = z.object({ code: z.string(), message: z.string(), hint: z.string() });

/** The form of each member of a report: what the API promises, and a peer's report has to keep. */
export const reportFields = {
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
  predictedDowntimeMs: msOrNull.meta({
    description: "Forecast that the last switch was decided by",
  }),
  forecast: z.object({
    downtimeMs: z.number(),
    budgetedMs: z.number(),
    transferMs: z.number(),
    workMs: z.number(),
    pathMs: z.number(),
    wireBytes: bytes,
  }).nullable().meta({
    description: "Of a switch that began now, renewed while the move copies. downtimeMs is the " +
      "pause as clients see it, budgetedMs the part that maxDowntimeMs limits: transferMs for the " +
      "wireBytes that cross in the pause, and workMs at both ends; pathMs is the " +
      "way there, and the repetition of packets that are likely to get lost",
  }),
  leadMs: msOrNull.meta({
    description: "Time that memory would take from its start until the machine could switch",
  }),
  convergence: z.object({ verdict: z.enum(CONVERGENCE_VERDICTS), reason: z.string() }).nullable()
    .meta({ description: "Whether what remains gets less; null while nobody has judged it" }),
  throttle: z.object({
    diskBytesPerSecond: z.number().nullable(),
    cpuShare: z.number().min(0).max(0.99).nullable(),
  }).meta({
    description: "What is taken from the machine so that it writes less: a cap of its own disk " +
      "writes, a share of its CPU time; null: nothing",
  }),
  question: z.object({
    kind: z.enum(["budget"]),
    askedAt: z.string(),
    wantedDowntimeMs: z.number(),
    text: z.string(),
  }).nullable().meta({
    description: "What the operator is asked; the move goes on as it is until it is answered",
  }),
  maxDowntimeMs: z.number(),
  hold: z.boolean(),
  rate: z.union([z.number(), ratePolicy]).nullable().meta({ description: "As it was wished" }),
  rateBytesPerSecond: z.number().nullable().meta({
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
  rollbackOf: z.string().nullable().meta({
    description: "The completed move that this one brings the machine back from",
  }),
  rollback: z.object({
    migration: z.string(),
    state: z.enum(MIGRATION_STATES),
    error: errorNote.nullable(),
  }).nullable().meta({
    description: "The last try to bring the machine back from where this move took it, a move of " +
      "its own. While it goes on, state and machine are its; after it state is rolledBack",
  }),
  adjudication: z.object({
    owner: z.string(),
    epoch: z.number().int(),
    by: z.string(),
    reason: z.string(),
    at: z.string(),
  }).nullable().meta({
    description: "What an operator decided of the move's doubt, at either site: who, when and why",
  }),
} as const;

/**
 * Of a report that comes from elsewhere, the members that have the form of one: what is in another
 * form, and what nobody here knows, is left out. Texts lose their control characters: they are shown
 * on terminals.
 */
export function shownReport(report: Readonly<Record<string, unknown>>): Partial<MigrationReport> {
  const shown: Record<string, unknown> = {};
  for (const [name, form] of Object.entries(reportFields)) {
    if (!Object.hasOwn(report, name)) continue;
    const parsed = form.safeParse(report[name]);
    if (parsed.success) shown[name] = printable(parsed.data);
  }
  return shown;
}

const form = z.object(reportFields);

/** A report that was kept whole; null for what is none. */
export function wholeReport(value: unknown): MigrationReport | null {
  return form.safeParse(value).data ?? null;
}

/** As deep as the form of a report goes. */
function printable(value: unknown): unknown {
  // deno-lint-ignore no-control-regex -- exactly the control characters
  if (typeof value === "string") return value.replace(/[\u0000-\u001f\u007f-\u009f]/g, " ");
  if (Array.isArray(value)) return value.map(printable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [printable(key), printable(each)]),
  );
}
