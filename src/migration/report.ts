import type { Forecast, Question } from "./control/action.ts";
import type { RatePolicy, Remedy, SwitchWindow } from "./control/wishes.ts";
import { fixedCap } from "./fixed_cap.ts";
import type { MigrationOptions, Priority } from "./options.ts";

/**
 * The report of a migration: what the API serves, the demo prints and scripts measure. Field names
 * and meanings are fixed for users outside the project; values that are unknown are `null`.
 */

/** Every state that a report can show. */
export const MIGRATION_STATES = [
  "preparing",
  "copying",
  "holding",
  "switching",
  "inDoubt",
  "conflict",
  "completed",
  "failed",
  "cancelled",
  "rolledBack",
  "seeded",
] as const;
/** Where a migration stands, as the contract names it; `seeded` is the end of strategy `seed`. */
export type MigrationState = typeof MIGRATION_STATES[number];

/** States after which nothing happens any more. */
export const ENDED_STATES: readonly MigrationState[] = [
  "completed",
  "failed",
  "cancelled",
  "rolledBack",
  "seeded",
];

/** One migration as `GET /v1/migrations/{id}` gives it. Times are RFC 3339 UTC. */
export interface MigrationReport {
  id: string;
  guest: string;
  /** Site names. */
  from: string;
  to: string;
  /** Which end of the move the answering gateway is. */
  side: "source" | "destination";
  strategy: Strategy;
  state: MigrationState;
  phase: string;
  /** Site that may run the machine, by the ledger. */
  owner: string;
  epoch: number;
  machine: { site: string; runState: "running" | "paused" | "gone" };
  startedAt: string;
  endedAt: string | null;
  totalMs: number | null;
  downtimeMs: number | null;
  /** Forecast that the last switch was decided by. */
  predictedDowntimeMs: number | null;
  /** Of a switch that began now, renewed while it copies; null before anything is known. */
  forecast: Forecast | null;
  /** Time that memory would take from its start until the machine could switch; null: unknown. */
  leadMs: number | null;
  /** Whether what remains gets less; null while nobody has judged it. */
  convergence: Convergence | null;
  /** What is done to the machine itself so that it writes less. */
  throttle: Throttle;
  /** What the operator is asked; the move goes on as it is until it is answered. */
  question: OpenQuestion | null;
  maxDowntimeMs: number;
  hold: boolean;
  /** As it was wished. */
  rate: number | RatePolicy | null;
  /** The cap that is in force now, whoever found it; null is none. */
  rateBytesPerSecond: number | null;
  /** Share of the link beside other moves of the same priority, 1 to 1000. */
  weight: number;
  priority: Priority;
  /** What is tried when the pause does not fit, in this order. */
  whenOver: Remedy[];
  /** When the switch may happen; null is at any time. */
  window: SwitchWindow | null;
  progress: number;
  etaMs: number | null;
  memory: { totalBytes: number; remainingBytes: number | null; dirtyBytesPerSecond: number | null };
  disks: DiskReport[];
  rounds: RoundReport[];
  wireBytes: { memory: number; disk: number; control: number; total: number };
  savedBytes: SavedBytes;
  decisions: Decision[];
  findings: { severity: string; code: string; message: string; hint: string }[];
  error: { code: string; message: string; hint: string } | null;
  /** Set when the stream reader met something that it relayed uninterpreted. */
  opaqueReason: string | null;
  opaqueBytes: number;
  /** Times that the destination had got pages wrong and was sent them whole. */
  repairs: number;
  /** What is still there to roll back to or to clean up, in words. */
  leftovers: string[];
  /** The completed move that this one brings the machine back from; null for any other. */
  rollbackOf: string | null;
  /** The last try to bring the machine back from where this move took it; null: there was none. */
  rollback: RollbackReport | null;
  /** What an operator decided of its doubt, at either site; null: nobody had to. */
  adjudication: Adjudication | null;
}

/** An operator's decision who runs the machine. */
export interface Adjudication {
  /** A site's name. */
  owner: string;
  epoch: number;
  by: string;
  reason: string;
  /** When it came to be known at the site that answers. */
  at: string;
}

/** A move back, as the report of the move that it undoes shows it. */
export interface RollbackReport {
  /** Its own id. */
  migration: string;
  state: MigrationState;
  error: MigrationReport["error"];
}

export const CONVERGENCE_VERDICTS = ["converging", "notConverging", "unknown"] as const;

/** Whether a move comes closer to its switch, and why that is thought. */
export interface Convergence {
  verdict: typeof CONVERGENCE_VERDICTS[number];
  reason: string;
}

/** What is taken from the machine; null is nothing. */
export interface Throttle {
  /** Cap of its own writes to all its disks together. */
  diskBytesPerSecond: number | null;
  /** Share of its CPU time, 0 to 0.99. */
  cpuShare: number | null;
}

export interface OpenQuestion extends Question {
  askedAt: string;
  /** For people, as a question. */
  text: string;
}

/** What an operator says to an open question. */
export interface QuestionAnswer {
  accept: boolean;
  /** The budget that is granted; without it, the one that was asked for. */
  maxDowntimeMs?: number;
}

/**
 * `seed` moves nothing: it copies disks and memory once beside everything else and ends, so that a
 * later move sends only what differs by then.
 */
export const STRATEGIES = ["precopy", "stop-and-copy", "seed"] as const;
/** One of them. */
export type Strategy = typeof STRATEGIES[number];

export interface DiskReport {
  id: string;
  totalBytes: number;
  allocatedBytes: number | null;
  remainingBytes: number | null;
  /** Recorded by the destination as written and flushed. */
  verifiedBytes: number;
}

/** One pass over the disks or over memory. */
export interface RoundReport {
  number: number;
  kind: "disk" | "memory" | "final";
  startedAt: string;
  sentBytes: number;
  remainingBytes: number | null;
  durationMs: number | null;
}

/** Bytes of the machine that did not have to cross, by reason. */
export interface SavedBytes {
  zero: number;
  hole: number;
  unchanged: number;
  delta: number;
  duplicate: number;
  compression: number;
  free: number;
  warm: number;
  /** Pages written again before they left: only the newest version travels. */
  replaced: number;
}

export interface Decision {
  at: string;
  action: string;
  reason: string;
  numbers: Record<string, number | null>;
}

/** What was wished of a move, as its report shows it; the cap is what the wish sets by itself. */
export function wishesShown(
  { maxDowntimeMs, hold, rate, weight, priority, whenOver, window, rollbackOf }: MigrationOptions,
): Pick<
  MigrationReport,
  | "maxDowntimeMs"
  | "hold"
  | "rate"
  | "rateBytesPerSecond"
  | "weight"
  | "priority"
  | "whenOver"
  | "window"
  | "rollbackOf"
> {
  return {
    maxDowntimeMs,
    hold,
    rate,
    rateBytesPerSecond: fixedCap(rate),
    weight,
    priority,
    whenOver: [...whenOver],
    window,
    rollbackOf,
  };
}

/** The same of what was foreseen of a move, where nothing was. */
export function nothingForeseen(): Pick<
  MigrationReport,
  | "predictedDowntimeMs"
  | "forecast"
  | "leadMs"
  | "convergence"
  | "throttle"
  | "question"
  | "rollback"
  | "adjudication"
> {
  return {
    predictedDowntimeMs: null,
    forecast: null,
    leadMs: null,
    convergence: null,
    throttle: { diskBytesPerSecond: null, cpuShare: null },
    question: null,
    rollback: null,
    adjudication: null,
  };
}

export function noSavedBytes(): SavedBytes {
  return {
    zero: 0,
    hole: 0,
    unchanged: 0,
    delta: 0,
    duplicate: 0,
    compression: 0,
    free: 0,
    warm: 0,
    replaced: 0,
  };
}
