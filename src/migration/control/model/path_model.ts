/** A stretch of time in which a path does not change. */
export interface PathSegment {
  /** After the start of the period. */
  readonly fromMs: number;
  /** Payload that the path carries, loss and headers taken off. */
  readonly bytesPerSecond: number;
  readonly roundTripMs: number;
  readonly isDark: boolean;
}

/** A path as the model of a move knows it. */
export interface PathModel {
  /** Sorted; the first from 0 on. */
  readonly segments: readonly PathSegment[];
  /** The segments start again after this time; null: they run once. */
  readonly periodMs: number | null;
  readonly jitterMs: number;
  readonly lossRatio: number;
  /** The longest queue before the bottleneck. */
  readonly queueMs: number;
  /**
   * Other traffic: a steady share of the path, or a download that takes what it can and keeps the
   * queue full. From `fromMs` until `untilMs` of the move.
   */
  readonly others: {
    readonly kind: "steady" | "greedy";
    readonly share: number;
    readonly fromMs: number;
    readonly untilMs: number;
  } | null;
}

/** A path that never changes and carries nothing else. */
export function steadyPath(
  bytesPerSecond: number,
  roundTripMs: number,
  parts: Partial<PathModel> = {},
): PathModel {
  return {
    segments: [{ fromMs: 0, bytesPerSecond, roundTripMs, isDark: false }],
    periodMs: null,
    jitterMs: 0,
    lossRatio: 0,
    queueMs: Math.max(20, roundTripMs),
    others: null,
    ...parts,
  };
}
