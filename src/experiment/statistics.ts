/** Where the values of several runs lie. */
export interface Spread {
  readonly count: number;
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** Unknown values are left out; null where nothing is known. */
export function spreadOf(values: readonly (number | null)[]): Spread | null {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (known.length === 0) return null;
  return {
    count: known.length,
    median: quantile(known, 0.5),
    min: known[0],
    max: known[known.length - 1],
  };
}

/** Of sorted values, between the two nearest. @param share 0 to 1 */
export function quantile(sorted: readonly number[], share: number): number {
  const place = (sorted.length - 1) * share;
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

/** How a figure of a later run lies to that of an earlier one. */
export type Change = "same" | "less" | "more" | "unknown";

/**
 * A change counts only where the ranges of both runs do not touch. One value has no spread: with a
 * single one on either side nothing can be said.
 */
export function changeOf(before: Spread | null, after: Spread | null): Change {
  if (before === null || after === null) return "unknown";
  if (before.count < 2 || after.count < 2) return "unknown";
  if (after.max < before.min) return "less";
  if (after.min > before.max) return "more";
  return "same";
}
