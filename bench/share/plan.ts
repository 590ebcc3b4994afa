/** What one move on a measured link does. */
export interface MovePlan {
  readonly priority?: "high" | "normal" | "low";
  readonly weight?: number;
  /** Caps from these times on: bytes per second on the wire, null for none, or what others leave. */
  readonly caps?: readonly { readonly atMs: number; readonly cap: number | null | "fair" }[];
}

/** What the sending end of a measured link does. */
export interface LinkPlan {
  readonly seconds: number;
  readonly moves: readonly MovePlan[];
  readonly frameBytes: number;
  /** Probes the path before anything is sent. */
  readonly probe?: boolean;
}

/** Ids of the moves of a plan, by their index. */
export function moveId(index: number): string {
  return `00000000-0000-4000-8000-${String(index + 1).padStart(12, "0")}`;
}
