import type { WrittenSet } from "./machine_model.ts";

/** What was written at least once within a time. */
export interface DirtySample {
  readonly ms: number;
  readonly distinctBytes: number;
}

/** Steps of the bisection: more than a double can tell apart. */
const STEPS = 60;
/** The most and the least that a sample can show of how often places are written again. */
const OFTEN = 6;
const HARDLY = 0.02;

/**
 * The set that two samples of a machine's writes show. In a set of `H` bytes that is written all over
 * at `w` bytes a second, `H (1 - exp(-w t / H))` are distinct after `t`: a longer sample that found
 * hardly more than a short one is of a small set that is written all the time, one that found in
 * proportion to its time of a set of which nothing is known but that it is larger.
 *
 * @param short and long: two samples, the second over the longer time
 * @param mostBytes the set is not larger, whatever the samples say
 */
export function sampledSet(short: DirtySample, long: DirtySample, mostBytes: number): WrittenSet {
  if (!(short.ms > 0) || !(long.ms > short.ms)) {
    throw new RangeError(`Samples over ${short.ms} and ${long.ms} ms show no set`);
  }
  if (short.distinctBytes <= 0 || long.distinctBytes <= 0) {
    const bytes = Math.min(mostBytes, Math.max(0, long.distinctBytes));
    return { bytes, bytesPerSecond: bytes * 1000 / long.ms };
  }
  const times = long.ms / short.ms;
  const grown = long.distinctBytes / short.distinctBytes;
  // How often the set is written within the short sample.
  let least = HARDLY;
  let most = OFTEN;
  for (let step = 0; step < STEPS; step++) {
    const middle = (least + most) / 2;
    if (Math.expm1(-times * middle) / Math.expm1(-middle) > grown) least = middle;
    else most = middle;
  }
  const bytes = Math.min(mostBytes, short.distinctBytes / -Math.expm1(-least));
  const share = Math.min(0.99, short.distinctBytes / bytes);
  return { bytes, bytesPerSecond: -Math.log1p(-share) * bytes * 1000 / short.ms };
}
