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
  maxDowntimeMs: number;
  hold: boolean;
  rateBytesPerSecond: number | null;
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
}

/**
 * `seed` moves nothing: it copies disks and memory once beside everything else and ends, so that a
 * later move sends only what differs by then.
 */
export const STRATEGIES = ["precopy", "stop-and-copy", "seed"] as const;
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
