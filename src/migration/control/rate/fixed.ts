import { shownRate } from "../words.ts";
import type { RateRule } from "./policy.ts";

/** @param bytesPerSecond null is as fast as the path allows */
export function fixedRate(bytesPerSecond: number | null): RateRule {
  const decision = {
    bytesPerSecond,
    finalBytesPerSecond: bytesPerSecond,
    reason: bytesPerSecond === null
      ? "no cap is wished"
      : `a cap of ${shownRate(bytesPerSecond)} is wished`,
    numbers: { bytesPerSecond },
  };
  return { follows: false, decide: () => decision };
}
