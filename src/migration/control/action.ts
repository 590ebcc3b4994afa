/** Why something is done, for the operator: a sentence, and the numbers that decided it. */
export interface Because {
  readonly reason: string;
  readonly numbers: Readonly<Record<string, number | null>>;
}

/** What an operator is asked while a move waits for an answer. */
export interface Question {
  readonly kind: "budget";
  /** Budget that would let the machine switch, as far as is known. */
  readonly wantedDowntimeMs: number;
}

/** What the controller wants done. Whoever carries it out records it in `decisions[]`. */
export type Action =
  & Because
  & (
    /** The cap of this move's own bytes; null is none. */
    | { readonly kind: "rate"; readonly bytesPerSecond: number | null }
    /** Memory may start: the disks are in step and the moment is near. */
    | { readonly kind: "startMemory" }
    /** The memory stream ends and only the disks stay in step. */
    | { readonly kind: "parkMemory" }
    /** Forced: by the operator's word, whatever the pause takes; the gate does not undo it. */
    | { readonly kind: "switch"; readonly isForced: boolean }
    /** Cap of the machine's own writes to all its disks; null takes it away. */
    | { readonly kind: "throttleDisks"; readonly bytesPerSecond: number | null }
    /** Share of the machine's CPU time taken away, 0 to 0.99; within a run it can only rise. */
    | { readonly kind: "throttleCpu"; readonly share: number }
    | { readonly kind: "ask"; readonly question: Question }
    | { readonly kind: "withdrawQuestion" }
    /** The move ends as failed; the machine runs on at the source. */
    | { readonly kind: "giveUp"; readonly code: "not_converging" }
  );

/** What one tick of the controller has found. */
export interface Tick {
  readonly actions: readonly Action[];
  /** Of what is copied: without memory while only the disks are kept in step. */
  readonly forecast: Forecast;
  /** True while everything fits and only a hold or a window keeps the machine here. */
  readonly isHolding: boolean;
  /** For `phase`: what the move waits for, in words. */
  readonly status: string;
  readonly convergence: Convergence;
  /** Time that memory would take from its start until the machine could switch; null: unknown. */
  readonly leadMs: number | null;
}

/** Where the copy tends to: whether what remains shrinks until it fits the budget. */
export interface Convergence extends Because {
  readonly verdict: "converging" | "notConverging" | "unknown";
}

/** Expected pause if the switch began now. */
export interface Forecast {
  /** As clients see it: transfer, work and one way to the destination. */
  readonly downtimeMs: number;
  /** The part that the budget limits (docs/decisions/003-downtime-budget.md). */
  readonly budgetedMs: number;
  readonly transferMs: number;
  readonly workMs: number;
  /** One way, and the repetition of what is likely to get lost. */
  readonly pathMs: number;
  /** Wire bytes that have to cross during the pause. */
  readonly wireBytes: number;
}
