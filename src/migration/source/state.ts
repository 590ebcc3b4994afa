import { invariant } from "../../core/assert.ts";

/**
 * The source end of a migration. The state is a fold over the ledger's events: what is not an event
 * here cannot decide who runs the machine. Every event is durable before its effect (design,
 * section 3, rule 5).
 *
 * ```
 * preparing --began--> copying --switchBegan--> switching --handoverWritten--> handedOver
 *     |                 ^   |                     |    |                        |      |
 *     |                 |   +--(cancel, failure)--+----+--> undoing        ranAtPeer  refusedByPeer
 *     |                 +-----switchUndone--------+            |               |      |
 *     +--(nothing to undo)------------------------------> ended <--- retired --+   undoing
 * ```
 */
export type SourceState =
  | { readonly kind: "preparing" }
  | { readonly kind: "copying" }
  | { readonly kind: "switching"; readonly pausedAtWallMs: number | null }
  /** The destination may run the machine: only its answer, or an operator, ends this. */
  | {
    readonly kind: "handedOver";
    readonly epoch: number;
    readonly run: boolean;
    readonly pausedAtWallMs: number | null;
  }
  | { readonly kind: "retiring"; readonly epoch: number; readonly downtimeMs: number | null }
  | { readonly kind: "undoing"; readonly end: UndoneEnd }
  | { readonly kind: "conflict"; readonly epoch: number; readonly reason: string }
  | { readonly kind: "completed"; readonly downtimeMs: number | null }
  | { readonly kind: "failed"; readonly error: StoredError }
  | { readonly kind: "cancelled" }
  | { readonly kind: "seeded" };

export interface StoredError {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** Why a migration is being undone; the machine runs at the source afterwards. */
export type UndoneEnd =
  | { readonly kind: "cancelled" }
  /** Nothing was to be moved, only copied. */
  | { readonly kind: "seeded" }
  | { readonly kind: "failed"; readonly error: StoredError };

/** What the ledger holds of the source's end of a migration. */
export type SourceEvent =
  | { readonly kind: "created"; readonly epoch: number; readonly site: string }
  /** Written before the machine is touched for the first time; from here there is something to undo. */
  | { readonly kind: "began" }
  | { readonly kind: "noted"; readonly notes: Record<string, unknown> }
  | { readonly kind: "switchBegan" }
  | { readonly kind: "paused"; readonly atWallMs: number }
  | { readonly kind: "switchUndone"; readonly reason: string }
  | {
    readonly kind: "handoverWritten";
    readonly epoch: number;
    /** Sequence numbers of the last frames, by channel. */
    readonly lastSequences: { readonly memory: number; readonly disk: number };
    /** False where the machine was paused at the source: it must arrive paused. */
    readonly run: boolean;
    readonly pausedAtWallMs: number | null;
  }
  | { readonly kind: "ranAtPeer"; readonly epoch: number; readonly downtimeMs: number | null }
  | { readonly kind: "refusedByPeer"; readonly epoch: number; readonly error: StoredError }
  | { readonly kind: "undoBegan"; readonly end: UndoneEnd }
  | { readonly kind: "undone" }
  | { readonly kind: "retired"; readonly kept: boolean }
  | {
    readonly kind: "adjudicated";
    readonly owner: "source" | "destination";
    readonly epoch: number;
    readonly by: string;
    readonly reason: string;
  }
  | { readonly kind: "conflicted"; readonly epoch: number; readonly reason: string }
  | { readonly kind: "leftoversDeleted"; readonly paths: readonly string[] };

/** Legal moves; tests and the diagram above follow it. `noted` and `leftoversDeleted` change nothing. */
export const SOURCE_TRANSITIONS = {
  preparing: { began: "copying", undoBegan: "undoing" },
  copying: { switchBegan: "switching", undoBegan: "undoing" },
  switching: {
    paused: "switching",
    switchUndone: "copying",
    handoverWritten: "handedOver",
    undoBegan: "undoing",
  },
  handedOver: {
    ranAtPeer: "retiring",
    refusedByPeer: "undoing",
    adjudicated: ["undoing", "retiring"],
    conflicted: "conflict",
  },
  retiring: { retired: "completed", conflicted: "conflict" },
  undoing: { undone: ["failed", "cancelled", "seeded"], conflicted: "conflict" },
  conflict: { adjudicated: ["undoing", "retiring"] },
  completed: {},
  failed: { conflicted: "conflict" },
  cancelled: {},
  seeded: {},
} as const satisfies Record<
  SourceState["kind"],
  Partial<
    Record<SourceEvent["kind"], SourceState["kind"] | readonly SourceState["kind"][]>
  >
>;

/** True where `event` may be written in `state`. */
export function sourceAllows(state: SourceState, event: SourceEvent["kind"]): boolean {
  if (event === "noted" || event === "leftoversDeleted") return true;
  return event in SOURCE_TRANSITIONS[state.kind];
}

/** The state after `event`. An event that the table does not allow is a broken invariant. */
export function nextSourceState(state: SourceState, event: SourceEvent): SourceState {
  invariant(
    sourceAllows(state, event.kind),
    `Source migration is ${state.kind}: ${event.kind} is not allowed`,
  );
  switch (event.kind) {
    case "created":
    case "noted":
    case "leftoversDeleted":
      return state;
    case "began":
    case "switchUndone":
      return { kind: "copying" };
    case "switchBegan":
      return { kind: "switching", pausedAtWallMs: null };
    case "paused":
      return { kind: "switching", pausedAtWallMs: event.atWallMs };
    case "handoverWritten":
      return {
        kind: "handedOver",
        epoch: event.epoch,
        run: event.run,
        pausedAtWallMs: event.pausedAtWallMs,
      };
    case "ranAtPeer":
      return { kind: "retiring", epoch: event.epoch, downtimeMs: event.downtimeMs };
    case "refusedByPeer":
      return { kind: "undoing", end: { kind: "failed", error: event.error } };
    case "undoBegan":
      return { kind: "undoing", end: event.end };
    case "undone":
      invariant(state.kind === "undoing", "undone without undoing");
      return state.end;
    case "retired":
      invariant(state.kind === "retiring", "retired without retiring");
      return { kind: "completed", downtimeMs: state.downtimeMs };
    case "adjudicated":
      return event.owner === "destination"
        ? { kind: "retiring", epoch: event.epoch, downtimeMs: null }
        : {
          kind: "undoing",
          end: {
            kind: "failed",
            error: {
              code: "handover_refused",
              message: `Cannot hand over: ${event.by} gave the machine to the source`,
              hint: event.reason,
            },
          },
        };
    case "conflicted":
      return { kind: "conflict", epoch: event.epoch, reason: event.reason };
  }
}

/** Replays the ledger: the state that a restarted gateway goes on from. */
export function replaySource(events: Iterable<SourceEvent>): SourceState {
  let state: SourceState = { kind: "preparing" };
  for (const event of events) {
    if (event.kind !== "created") state = nextSourceState(state, event);
  }
  return state;
}

/** Why a move ended, or is being undone; null for one that did as it was told, or goes on. */
export function endError(state: SourceState): StoredError | null {
  if (state.kind === "failed") return state.error;
  return state.kind === "undoing" && state.end.kind === "failed" ? state.end.error : null;
}

/** True after the last event that concerns who runs the machine. */
export function sourceEnded(state: SourceState): boolean {
  const { kind } = state;
  return kind === "completed" || kind === "failed" || kind === "cancelled" || kind === "seeded";
}
