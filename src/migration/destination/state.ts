import { invariant } from "../../core/assert.ts";
import type { StoredError } from "../source/state.ts";

/**
 * The destination end of a migration, folded from the ledger's events.
 *
 * ```
 * accepted --prepared--> receiving --handoverReceived--> taking --owned--> owning --started--> running
 *     |                      |                              |                            (ended)
 *     +------refused---------+-----------refused------------+--> refused --abandoned--> abandoned
 *     +------abandoned-------+-------------------------------------------------------> abandoned
 * ```
 *
 * `abandoned` without `refused` is only legal while no handover can exist for the source to rely on:
 * the source said so itself (cancel). Everything else writes `refused` with its epoch first, so that
 * a handover that is still on its way can never be accepted later.
 */
export type DestinationState =
  | { readonly kind: "accepted" }
  | { readonly kind: "receiving" }
  | { readonly kind: "taking"; readonly epoch: number; readonly run: boolean }
  | { readonly kind: "owning"; readonly epoch: number; readonly run: boolean }
  /** `run`: it was started; else it arrived paused, as it was at the source. */
  | { readonly kind: "running"; readonly epoch: number; readonly run: boolean }
  | { readonly kind: "refused"; readonly epoch: number; readonly error: StoredError }
  | { readonly kind: "abandoned"; readonly error: StoredError | null }
  | { readonly kind: "conflict"; readonly epoch: number; readonly reason: string };

/** What the ledger holds of the destination's end of a migration. */
export type DestinationEvent =
  | { readonly kind: "created"; readonly epoch: number; readonly from: string }
  /** `images` are the paths that the move writes from here on: what a move that fails leaves. */
  | { readonly kind: "prepared"; readonly images?: readonly string[] }
  | { readonly kind: "noted"; readonly notes: Record<string, unknown> }
  /** The destination holds this disk round, flushed (design, rule 6). */
  | { readonly kind: "roundRecorded"; readonly round: number; readonly bytes: number }
  | { readonly kind: "handoverReceived"; readonly epoch: number; readonly run: boolean }
  /** Owner record and the intention to run, in one transaction; the machine starts after it. */
  | { readonly kind: "owned"; readonly epoch: number; readonly run: boolean }
  | { readonly kind: "started" }
  | { readonly kind: "refused"; readonly epoch: number; readonly error: StoredError }
  | { readonly kind: "abandoned"; readonly error: StoredError | null }
  | { readonly kind: "conflicted"; readonly epoch: number; readonly reason: string }
  /** An operator of this site decided; what follows from it are events of their own. */
  | {
    readonly kind: "adjudicated";
    readonly owner: string;
    readonly epoch: number;
    readonly by: string;
    readonly reason: string;
  }
  | { readonly kind: "leftoversDeleted"; readonly paths: readonly string[] };

/** Events that change nothing of who may run the machine, legal in any state. */
const REMARKS: readonly DestinationEvent["kind"][] = [
  "adjudicated",
  "leftoversDeleted",
  "noted",
  "roundRecorded",
];

/** Legal moves, beside `REMARKS`. */
export const DESTINATION_TRANSITIONS = {
  accepted: {
    prepared: "receiving",
    refused: "refused",
    abandoned: "abandoned",
    conflicted: "conflict",
  },
  receiving: {
    handoverReceived: "taking",
    refused: "refused",
    abandoned: "abandoned",
    conflicted: "conflict",
  },
  taking: { owned: "owning", refused: "refused", conflicted: "conflict" },
  owning: { started: "running", conflicted: "conflict" },
  running: { conflicted: "conflict" },
  refused: { abandoned: "abandoned", conflicted: "conflict" },
  abandoned: { conflicted: "conflict" },
  conflict: {},
} as const satisfies Record<
  DestinationState["kind"],
  Partial<Record<DestinationEvent["kind"], DestinationState["kind"]>>
>;

/** True where `event` may be written in `state`. */
export function destinationAllows(
  state: DestinationState,
  event: DestinationEvent["kind"],
): boolean {
  if (REMARKS.includes(event)) return true;
  return event in DESTINATION_TRANSITIONS[state.kind];
}

/** The state after `event`. An event that the table does not allow is a broken invariant. */
export function nextDestinationState(
  state: DestinationState,
  event: DestinationEvent,
): DestinationState {
  invariant(
    destinationAllows(state, event.kind),
    `Destination migration is ${state.kind}: ${event.kind} is not allowed`,
  );
  switch (event.kind) {
    case "created":
    case "noted":
    case "roundRecorded":
    case "adjudicated":
    case "leftoversDeleted":
      return state;
    case "prepared":
      return { kind: "receiving" };
    case "handoverReceived":
      return { kind: "taking", epoch: event.epoch, run: event.run };
    case "owned":
      return { kind: "owning", epoch: event.epoch, run: event.run };
    case "started":
      invariant(state.kind === "owning", "started without owning");
      return { kind: "running", epoch: state.epoch, run: state.run };
    case "refused":
      return { kind: "refused", epoch: event.epoch, error: event.error };
    case "abandoned":
      return {
        kind: "abandoned",
        error: event.error ?? (state.kind === "refused" ? state.error : null),
      };
    case "conflicted":
      return { kind: "conflict", epoch: event.epoch, reason: event.reason };
  }
}

/** True for an offer that ended without anything having been done or refused here. */
export function wasWithdrawn(events: Iterable<DestinationEvent>): boolean {
  const kinds = new Set([...events].map(({ kind }) => kind));
  return kinds.has("abandoned") && !kinds.has("prepared") && !kinds.has("refused");
}

/** Replays the ledger: the state that a restarted gateway goes on from. */
export function replayDestination(events: Iterable<DestinationEvent>): DestinationState {
  let state: DestinationState = { kind: "accepted" };
  for (const event of events) {
    if (event.kind !== "created") state = nextDestinationState(state, event);
  }
  return state;
}

/** Partial copies that a move which ended otherwise than here has left, by its events. */
export function partialCopies(events: readonly DestinationEvent[]): readonly string[] {
  const { kind } = replayDestination(events);
  if (kind !== "refused" && kind !== "abandoned") return [];
  const prepared = events.findLast((event) => event.kind === "prepared");
  const deleted = events.flatMap((event) => event.kind === "leftoversDeleted" ? event.paths : []);
  return (prepared?.images ?? []).filter((path) => !deleted.includes(path));
}

/** True where nothing more happens at this end. */
export function destinationEnded(state: DestinationState): boolean {
  return state.kind === "running" || state.kind === "abandoned";
}
