import { type Clock, timestamp } from "../core/clock.ts";
import { type Cell, cellsOf, namesOf } from "./matrix.ts";
import { type CellFigures, failedFigures, type Row, type RowContext } from "./row.ts";
import type { RowStore } from "./row_store.ts";
import type { Scenario } from "./schema.ts";
import { skipOf } from "./stop_rules.ts";
import { timeLeftMs } from "./time_left.ts";

/**
 * Runs one cell. What it throws becomes the row of a failed cell; no other is touched by it.
 *
 * @param signal aborts when the experiment is interrupted or the cell takes too long
 */
export type CellRunner = (cell: Cell, signal: AbortSignal) => Promise<CellFigures>;

/** What rows say of where they were made, asked before each cell. */
export type ContextReader = () => Promise<Omit<RowContext, "at" | "cellMs">>;

/** Somebody who watches. */
export interface Progress {
  begins(cell: Cell, done: number, total: number, leftMs: number | null): void;
  ended(row: Row, done: number, total: number, leftMs: number | null): void;
  skipped(cell: Cell, why: string): void;
}

export interface RunOptions {
  readonly scenario: Scenario;
  readonly store: RowStore;
  readonly runCell: CellRunner;
  readonly context: ContextReader;
  readonly clock: Clock;
  readonly progress: Progress;
  /** Aborts between two cells or within one, whose row is then not written. */
  readonly signal: AbortSignal;
}

export interface RunOutcome {
  readonly interrupted: boolean;
  readonly cells: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Runs every cell that has no row, in order. */
export async function runExperiment(options: RunOptions): Promise<RunOutcome> {
  const { scenario, store, runCell, context, clock, progress, signal } = options;
  const cells = cellsOf(scenario);
  const startMs = clock.nowMs();
  const has = new Set(store.rows.map(({ cell }) => cell));
  let skipped = 0;
  for (const [index, cell] of cells.entries()) {
    if (has.has(cell.id)) continue;
    if (signal.aborted) break;
    const skip = skipOf(cell, store.rows, scenario, clock.nowMs() - startMs);
    if (skip !== null) {
      skipped++;
      progress.skipped(cell, skip);
      continue;
    }
    const remaining = cells.slice(index).filter(({ id }) => !has.has(id));
    const leftMs = (from: number) => timeLeftMs(remaining.slice(from), store.rows);
    progress.begins(cell, cells.length - remaining.length, cells.length, leftMs(0));
    const facts = await context();
    const cellStartMs = clock.nowMs();
    const at = timestamp(clock.wallMs());
    const figures = await inTime(cell, scenario.stop.cellSeconds * 1000, {
      runCell,
      clock,
      signal,
    });
    // Whatever came of a cell that was interrupted says nothing.
    if (signal.aborted) break;
    const row: Row = {
      cell: cell.id,
      ...namesOf(cell),
      seed: cell.seed,
      repetition: cell.repetition,
      ...figures,
      at,
      ...facts,
      cellMs: Math.round(clock.nowMs() - cellStartMs),
    };
    await store.append(row);
    has.add(cell.id);
    progress.ended(row, cells.length - remaining.length + 1, cells.length, leftMs(1));
  }
  return {
    interrupted: signal.aborted,
    cells: cells.length,
    failed: store.rows.filter(({ state }) => state === "failed").length,
    skipped,
  };
}

/** Ends a cell that takes too long; it gets to clean up, and this waits for that. */
async function inTime(
  cell: Cell,
  limitMs: number,
  { runCell, clock, signal }: Pick<RunOptions, "runCell" | "clock" | "signal">,
): Promise<CellFigures> {
  const ended = new AbortController();
  const late = new AbortController();
  const timer = clock.sleep(limitMs, ended.signal).then(() => late.abort(), () => {});
  try {
    const figures = await runCell(cell, AbortSignal.any([signal, late.signal]));
    return late.signal.aborted ? tooLong(limitMs) : figures;
  } catch (error) {
    if (late.signal.aborted) return tooLong(limitMs);
    return failedFigures(error instanceof Error ? error.message : String(error));
  } finally {
    ended.abort();
    await timer;
  }
}

function tooLong(limitMs: number): CellFigures {
  return failedFigures(`It took longer than ${limitMs / 1000} s (stop.cellSeconds)`);
}
