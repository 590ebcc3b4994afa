import { type Cell, groupKey, namesOf } from "./matrix.ts";
import type { Row } from "./row.ts";
import type { Scenario } from "./schema.ts";
import { spreadOf } from "./statistics.ts";

/** Why a cell is not run; null: it is. */
export type Skip = "failures" | "minutes" | "settled" | null;

/**
 * What the scenario's stop rules say to the next cell. All but `minutes` depend on the rows alone,
 * so that an experiment which was interrupted makes the same choices.
 */
export function skipOf(
  cell: Cell,
  rows: readonly Row[],
  { stop }: Scenario,
  elapsedMs: number,
): Skip {
  if (stop.failuresMax !== null) {
    if (rows.filter(({ state }) => state === "failed").length >= stop.failuresMax) {
      return "failures";
    }
  }
  if (stop.minutes !== null && elapsedMs >= stop.minutes * 60_000) return "minutes";
  if (stop.settled === null) return null;
  const key = groupKey(namesOf(cell));
  const group = rows.filter((row) => groupKey(row) === key && row.seed === cell.seed);
  const total = spreadOf(group.map(({ totalMs }) => totalMs));
  if (total === null || total.count < stop.settled.repetitionsMin) return null;
  return (total.max - total.min) / total.median <= stop.settled.spreadRatio ? "settled" : null;
}
