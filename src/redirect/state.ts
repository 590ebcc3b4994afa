import { invariant } from "../core/assert.ts";
import type { MachineAddress, RedirectSettings } from "../guest/addresses.ts";

/**
 * What one site does so that a machine's addresses follow it in one move: a fold over the ledger's
 * events, each durable before its effect. Both sites have one, in the roles of the move.
 *
 * ```
 * bound --preparing--> prepared --switched--> redirecting --arrived--> draining --retiring--> retired
 *   ^                   |   ^                   |    |
 *   +------undone-------+   +----unswitched-----+    |
 *   +------undone------------------------------------+
 * ```
 *
 * A stage is what the site's rules are to be; `failed` beside it says that they are not, and why.
 * Then it is tried again, and the move can go on to its next stage meanwhile.
 */
export const STAGES = ["bound", "prepared", "redirecting", "draining", "retired"] as const;
export type Stage = typeof STAGES[number];

/** As the API shows it: the stage, or `failed` while the site's rules are not what it says. */
export type ShownState = Stage | "failed";

/** Which end of the move this site is: the addresses leave the old one. */
export type RedirectSide = "old" | "new";

/** What is known of one redirect from its first event on; kept, so that it can be undone. */
export interface RedirectSubject {
  readonly migration: string;
  readonly guest: string;
  readonly side: RedirectSide;
  readonly peer: string;
  readonly addresses: readonly MachineAddress[];
  readonly settings: RedirectSettings;
}

export type RedirectEvent =
  /** Before the move touches anything: rules may be there from here on. */
  | { readonly kind: "preparing" }
  /** The machine stands still, or is about to be handed over here. */
  | { readonly kind: "switched" }
  /** The switch was undone: the machine runs on where it was, the move goes on. */
  | { readonly kind: "unswitched" }
  /** The machine runs at the new site. */
  | { readonly kind: "arrived" }
  /** No old flow is left, a limit was reached, or the machine came home. */
  | { readonly kind: "retiring"; readonly reason: string }
  /** The move failed or was cancelled: everything is as it was. */
  | { readonly kind: "undone" }
  /** The rules of the present stage could not be set or removed. */
  | { readonly kind: "failed"; readonly problem: string }
  /** They are as the stage says. */
  | { readonly kind: "settled"; readonly output?: string }
  /** What one of its means, by its place in the settings, has to know after a restart. */
  | {
    readonly kind: "remembered";
    readonly means: number;
    readonly value: Record<string, unknown>;
  }
  /** Probes that the machine did not answer while it ran at the old site: they mean nothing. */
  | { readonly kind: "probed"; readonly silent: readonly string[] }
  /** Every other probe was answered; null where a restart hides when it began. */
  | { readonly kind: "reached"; readonly blackoutMs: number | null }
  /** Some were not, for too long; `asks`: the operator is asked what to do. */
  | {
    readonly kind: "unreached";
    readonly waitedMs: number;
    readonly missing: readonly string[];
    readonly asks: boolean;
  }
  /** To keep the machine where it is, or to bring it back. */
  | { readonly kind: "answered"; readonly keep: boolean; readonly by: string };

export interface RedirectState {
  readonly stage: Stage;
  /** Why the site's rules are not what the stage says. */
  readonly problem: string | null;
  /** True once the site's rules were seen to be what the stage says. */
  readonly settled: boolean;
  /** Whether the machine was reached after its move; null before that is known. */
  readonly reach: "reached" | "unreached" | null;
  /** The operator has been asked, and has not answered. */
  readonly asks: boolean;
}

/** Legal in any stage: they do not lead to another one. */
const REMARKS: readonly RedirectEvent["kind"][] = [
  "failed",
  "settled",
  "remembered",
  "probed",
  "reached",
  "unreached",
  "answered",
];

/** Legal moves, beside the remarks. */
export const REDIRECT_TRANSITIONS = {
  bound: { preparing: "prepared" },
  prepared: { switched: "redirecting", undone: "bound" },
  redirecting: { unswitched: "prepared", arrived: "draining", undone: "bound" },
  draining: { retiring: "retired" },
  retired: {},
} as const satisfies Record<Stage, Partial<Record<RedirectEvent["kind"], Stage>>>;

export const FIRST_STATE: RedirectState = {
  stage: "bound",
  problem: null,
  settled: true,
  reach: null,
  asks: false,
};

/** True where `event` may be written in `state`. */
export function redirectAllows({ stage }: RedirectState, event: RedirectEvent["kind"]): boolean {
  if (REMARKS.includes(event)) return true;
  return event in REDIRECT_TRANSITIONS[stage];
}

/** The state after `event`. An event that the table does not allow is a broken invariant. */
export function nextRedirectState(state: RedirectState, event: RedirectEvent): RedirectState {
  invariant(redirectAllows(state, event.kind), `Redirect is ${state.stage}: no ${event.kind} now`);
  if (event.kind === "failed") return { ...state, problem: event.problem, settled: false };
  if (event.kind === "settled") return { ...state, problem: null, settled: true };
  switch (event.kind) {
    case "remembered":
    case "probed":
      return state;
    case "reached":
      return { ...state, reach: "reached" };
    case "unreached":
      return { ...state, reach: "unreached", asks: event.asks };
    case "answered":
      return { ...state, asks: false };
  }
  const moves: Partial<Record<RedirectEvent["kind"], Stage>> = REDIRECT_TRANSITIONS[state.stage];
  const stage = moves[event.kind]!;
  // A switch that is undone has told nothing of how the machine is reached after one.
  const { reach, asks } = event.kind === "unswitched" ? FIRST_STATE : state;
  return { stage, problem: null, settled: false, reach, asks };
}

/** Replays the ledger. */
export function replayRedirect(events: Iterable<RedirectEvent>): RedirectState {
  let state = FIRST_STATE;
  for (const event of events) state = nextRedirectState(state, event);
  return state;
}

export function shownState({ stage, problem }: RedirectState): ShownState {
  return problem === null ? stage : "failed";
}

/** True where this site has nothing of it any more, and nothing more will happen. */
export function redirectEnded({ stage, settled }: RedirectState): boolean {
  return (stage === "bound" || stage === "retired") && settled;
}

/**
 * What the move's own events ask of the redirect, in order, from the stage where it is: a gateway that
 * crashed between the two, or did not hear of one, catches up by this.
 *
 * @param fate what is known of the machine by the move's journal
 */
export function eventsTowards(stage: Stage, fate: Fate): RedirectEvent["kind"][] {
  if (fate === "open" || stage === "retired") return [];
  if (fate === "stays") {
    return stage === "prepared" || stage === "redirecting" ? ["undone"] : [];
  }
  switch (stage) {
    case "bound":
      return fate === "arrived" ? ["preparing", "switched", "arrived"] : ["preparing", "switched"];
    case "prepared":
      return fate === "arrived" ? ["switched", "arrived"] : ["switched"];
    case "redirecting":
      return fate === "arrived" ? ["arrived"] : [];
    case "draining":
      return [];
  }
}

/** Of a machine in a move: not decided, handed over, runs at the new site, or stays at the old one. */
export type Fate = "open" | "switched" | "arrived" | "stays";
