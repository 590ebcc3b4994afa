import { type Cell, groupKey, namesOf, settingKey } from "./matrix.ts";
import type { Row } from "./row.ts";

/**
 * How long the remaining cells will take, by those that have run: the mean of the same group, else
 * of the same setting, else of all. Null before any has.
 */
export function timeLeftMs(remaining: readonly Cell[], done: readonly Row[]): number | null {
  if (done.length === 0) return null;
  const byGroup = means(done, groupKey);
  const bySetting = means(done, settingKey);
  const overall = means(done, () => "").get("")!;
  return remaining.reduce((sum, cell) => {
    const names = namesOf(cell);
    return sum + (byGroup.get(groupKey(names)) ?? bySetting.get(settingKey(names)) ?? overall);
  }, 0);
}

function means(rows: readonly Row[], key: (row: Row) => string): Map<string, number> {
  return new Map(
    [...Map.groupBy(rows, key)].map(([name, group]) => [
      name,
      group.reduce((sum, { cellMs }) => sum + cellMs, 0) / group.length,
    ]),
  );
}
