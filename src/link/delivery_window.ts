/** Half a round trip, within these bounds. */
const STEADY_ROUND_TRIPS = 1 / 2;
const STEADY_MS_MIN = 80;
const MS_MAX = 150;
/** Less than lies between two reports, but longer than jitter. */
const HASTY_ROUND_TRIPS = 1 / 8;
const HASTY_MS_MIN = 10;
const HASTY_JITTERS = 8;

/** Over how long a delivery rate is averaged, ms. */
export function steadyWindowMs(minRoundTripMs: number): number {
  return Math.min(MS_MAX, Math.max(STEADY_MS_MIN, STEADY_ROUND_TRIPS * minRoundTripMs));
}

/**
 * The same while the rate doubles: every doubling waits for a round trip and for this.
 *
 * @param jitterMs mean difference of one delay to the next
 */
export function hastyWindowMs(minRoundTripMs: number, jitterMs: number): number {
  const ms = Math.max(HASTY_ROUND_TRIPS * minRoundTripMs, HASTY_JITTERS * jitterMs);
  return Math.min(steadyWindowMs(minRoundTripMs), Math.max(HASTY_MS_MIN, ms));
}
