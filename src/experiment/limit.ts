import type { Limit } from "./row.ts";

/** Headers, acknowledgements and checks cannot be less than this of what is sent (issue 7). */
const OVERHEAD_RATIO = 1.04;
const ROUND_TRIPS = 1.5;

/**
 * The least time that any move of this content over this link could take: 1.04 times its size, not
 * zero, packed by zstd level 3 in batches of 1 MiB, at the link's rate, and 1.5 round trips.
 */
export function limitOf(
  packed: { readonly memoryBytes: number; readonly diskBytes: number },
  link: { readonly rateBitsPerSecond: number; readonly roundTripMs: number },
): Limit {
  const { memoryBytes, diskBytes } = packed;
  const bits = OVERHEAD_RATIO * (memoryBytes + diskBytes) * 8;
  const ms = bits * 1000 / link.rateBitsPerSecond + ROUND_TRIPS * link.roundTripMs;
  return { memoryBytes, diskBytes, ms: Math.round(ms) };
}
