import { hash32, type Random } from "../core/random.ts";

/**
 * Knots of the in-order jitter lie this many times the amplitude apart. The delay then changes by
 * at most 2 * jitter per 4 * jitter of time, so a packet never overtakes the one before it.
 */
const KNOT_SPACING = 4;

/** Less than a microsecond is none; far smaller values would put the knots closer than floats. */
const JITTER_MS_MIN = 0.001;

/** A packet's own deviation, uniform in [-jitterMs, jitterMs): packets may overtake each other. */
export function independentJitterMs(random: Random, jitterMs: number): number {
  return jitterMs < JITTER_MS_MIN ? 0 : (2 * random.nextRatio() - 1) * jitterMs;
}

/**
 * Deviation of a link that keeps order: a line through uniform random knots, as a function of time.
 *
 * Drawing per packet and holding back what would overtake (the obvious way) pins every packet of a
 * busy link to `delay + jitter`: the jitter vanishes and the mean moves. This keeps both at any
 * packet rate. Mean 0, within ±jitterMs, variance two thirds of the uniform's.
 */
export function wanderingJitterMs(seed: number, timeMs: number, jitterMs: number): number {
  if (jitterMs < JITTER_MS_MIN) return 0;
  const position = timeMs / (KNOT_SPACING * jitterMs);
  const knot = Math.floor(position);
  const share = position - knot;
  return jitterMs * ((1 - share) * knotAt(seed, knot) + share * knotAt(seed, knot + 1));
}

/** Uniform in [-1, 1), the same for the same seed and index however often it is asked. */
function knotAt(seed: number, index: number): number {
  return hash32(seed, index) * 2 ** -31;
}
