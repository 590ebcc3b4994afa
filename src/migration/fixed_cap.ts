import type { RatePolicy } from "./control/wishes.ts";

/**
 * The cap that a wish for a rate is by itself, bytes per second. Null where there is none, or where
 * its policy finds one while it runs.
 */
export function fixedCap(rate: number | RatePolicy | null): number | null {
  if (rate === null || typeof rate === "number") return rate;
  return rate.policy === "fixed" ? rate.bytesPerSecond : null;
}
