import type { CellNames } from "./matrix.ts";

/** One look at a move. Counters are what they were at that time. */
export interface Sample {
  /** Since the move was asked for. */
  readonly atMs: number;
  /** What it was at, in a word or two. */
  readonly phase: string;
  /** IP packets that left the bottleneck, both directions. */
  readonly wireBytes: number;
  /** Memory and disk that still had to cross, as the mover knew it. */
  readonly remainingBytes: number | null;
  /** What the machine wrote to its memory, bytes per second. */
  readonly dirtyBytesPerSecond: number | null;
}

/** The link as it was found, not as its profile says. */
export interface MeasuredLink {
  readonly roundTripMs: number | null;
  /** The fastest that packets passed for as long as a sample. */
  readonly peakBitsPerSecond: number | null;
  /** Of the packets that left the bottleneck towards the destination. */
  readonly lossRatio: number | null;
  /** Packets that the emulator sent more than 5 ms late: it was the computer that was slow. */
  readonly lateRatio: number | null;
}

/** The least that a move could take: see `limitOf`. */
export interface Limit {
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly ms: number;
}

/** How a cell ended: `forced` is a move that had to be ended by force. */
export type CellState = "completed" | "forced" | "failed";

/** What a cell gives when it has run. */
export interface CellFigures {
  readonly state: CellState;
  /** Why it was forced or failed. */
  readonly note: string | null;
  readonly totalMs: number | null;
  /** By the mover's own account. */
  readonly downtimeMs: number | null;
  /** Longest silence around the switch, as a client of the machine saw it. */
  readonly observedDowntimeMs: number | null;
  /** Longest other silence: what the observation cannot tell from a pause. */
  readonly noiseMs: number | null;
  readonly predictedDowntimeMs: number | null;
  readonly wireBytes: number | null;
  readonly memoryBytes: number | null;
  readonly diskBytes: number | null;
  /** Of the way there, where the row is about the way back. */
  readonly firstTotalMs: number | null;
  readonly firstWireBytes: number | null;
  readonly rounds: number | null;
  /** Of the same machine between two QEMUs of one host: from its stop until it runs again. */
  readonly stopAndLoadMs: number | null;
  /** The machine's own words on its memory and disks after the move. */
  readonly verified: string | null;
  readonly limit: Limit | null;
  readonly link: MeasuredLink | null;
  /** Silences of at least 20 ms while it moved, longest first; ms. */
  readonly blackoutsMs: readonly number[];
  readonly samples: readonly Sample[];
  readonly versions: Readonly<Record<string, string | null>>;
  readonly decisions: readonly string[];
}

/** What a row keeps beside its figures, so that it can be compared with a later one. */
export interface RowContext {
  readonly at: string;
  readonly commit: string | null;
  readonly deno: string;
  readonly machine: Readonly<Record<string, string | number | null>>;
  /** Load average when it began. */
  readonly load: number | null;
  /** Of the whole cell, its machines' boot and checks with it. */
  readonly cellMs: number;
}

/** One line of `rows.jsonl`. */
export interface Row extends CellNames, CellFigures, RowContext {
  readonly cell: string;
  readonly seed: number;
  readonly repetition: number;
}

/** A move that arrived, by itself or by force. */
export function hasArrived({ state }: Pick<Row, "state">): boolean {
  return state !== "failed";
}

/** What a cell without any figure leaves. */
export function failedFigures(note: string): CellFigures {
  return {
    state: "failed",
    note,
    totalMs: null,
    downtimeMs: null,
    observedDowntimeMs: null,
    noiseMs: null,
    predictedDowntimeMs: null,
    wireBytes: null,
    memoryBytes: null,
    diskBytes: null,
    firstTotalMs: null,
    firstWireBytes: null,
    rounds: null,
    stopAndLoadMs: null,
    verified: null,
    limit: null,
    link: null,
    blackoutsMs: [],
    samples: [],
    versions: {},
    decisions: [],
  };
}
