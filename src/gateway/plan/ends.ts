/** The best case, the one to expect, and the worst. */
export type End = "low" | "expected" | "high";
export const ENDS: readonly End[] = ["low", "expected", "high"];

/** One value for each case: `low` is what makes a move short, small and gentle. */
export type Ends<T> = Readonly<Record<End, T>>;

/** @param of is asked for each case */
export function ends<T>(of: (end: End) => T): Ends<T> {
  return { low: of("low"), expected: of("expected"), high: of("high") };
}
