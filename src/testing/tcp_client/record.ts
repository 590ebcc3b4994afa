/** What a TCP client of a machine saw. Times are ms on the client's own clock. */
export interface ClientRecord {
  /** Wall clock at the client's zero. */
  readonly startedWallMs: number;
  /** One small message each interval over one connection. */
  readonly echo: FlowRecord & { readonly sent: number; readonly answered: number };
  /** Bytes read without end from one connection. */
  readonly download: FlowRecord & { readonly bytes: number };
  /** New connections, one each interval. */
  readonly connects: readonly ConnectRecord[];
}

/** One connection that was open all the time. */
export interface FlowRecord {
  /** Why it ended before it was asked to; null: it did not. */
  readonly error: string | null;
  /** The longest times without a byte, from one to the next, longest first, and when they began. */
  readonly gaps: readonly { readonly ms: number; readonly atMs: number }[];
}

export interface ConnectRecord {
  readonly atMs: number;
  /** Null: it failed. */
  readonly tookMs: number | null;
}

/** Gaps that are kept. */
const GAPS_MAX = 5;

/** Follows arrivals and keeps the longest times between two. */
export class Gaps {
  longest: { readonly ms: number; readonly atMs: number }[] = [];
  #lastMs: number | null = null;

  arrived(nowMs: number): void {
    const atMs = this.#lastMs;
    this.#lastMs = nowMs;
    if (atMs === null) return;
    const ms = Math.round(nowMs - atMs);
    const least = this.longest[GAPS_MAX - 1]?.ms ?? 0;
    if (ms <= least) return;
    this.longest = [...this.longest, { ms, atMs: Math.round(atMs) }]
      .sort((left, right) => right.ms - left.ms).slice(0, GAPS_MAX);
  }
}
