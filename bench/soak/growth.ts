/** One figure over time. */
export interface Point {
  readonly seconds: number;
  readonly value: number;
}

/** What a figure does in the long run. */
export interface Growth {
  readonly first: number;
  readonly last: number;
  readonly most: number;
  /** Slope of the line with the least squares through the points. */
  readonly perHour: number;
  /** What that line rises over the time that was looked at. */
  readonly rise: number;
}

/** Fits a line; fewer than two points, or all at one time, have no slope. */
export function growthOf(points: readonly Point[]): Growth {
  const values = points.map(({ value }) => value);
  const mean = (numbers: number[]) =>
    numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
  const middle = mean(points.map(({ seconds }) => seconds));
  const level = mean(values);
  let above = 0;
  let below = 0;
  for (const { seconds, value } of points) {
    above += (seconds - middle) * (value - level);
    below += (seconds - middle) ** 2;
  }
  const slope = below > 0 ? above / below : 0;
  const spanSeconds = points.length === 0 ? 0 : points.at(-1)!.seconds - points[0].seconds;
  return {
    first: values[0] ?? 0,
    last: values.at(-1) ?? 0,
    most: points.length === 0 ? 0 : Math.max(...values),
    perHour: slope * 3600,
    rise: slope * spanSeconds,
  };
}
