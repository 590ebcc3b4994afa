/** Attempts to make one input shorter. */
const ATTEMPTS_MAX = 2_000;

/**
 * A shorter input for which the same still holds: parts are left out, large ones first.
 *
 * @param holds whether an input still shows what is looked for
 */
export async function shrink(
  input: Uint8Array,
  holds: (input: Uint8Array) => Promise<boolean>,
): Promise<Uint8Array> {
  let best = input;
  let attempts = 0;
  for (let part = Math.ceil(best.length / 2); part >= 1; part = Math.floor(part / 2)) {
    for (let at = 0; at < best.length && attempts < ATTEMPTS_MAX;) {
      attempts++;
      const shorter = new Uint8Array(Math.max(0, best.length - part));
      shorter.set(best.subarray(0, at));
      shorter.set(
        best.subarray(Math.min(best.length, at + part)).subarray(0, shorter.length - at),
        at,
      );
      if (shorter.length < best.length && await holds(shorter)) best = shorter;
      else at += part;
    }
  }
  return best;
}
