import type { Farm } from "../../src/testing/simulation/farm.ts";

/** How a deliberate bug showed. */
export interface Caught {
  /** Seeds that it took, from the first on. */
  readonly seeds: number;
  readonly rule: string;
  readonly detail: string;
}

/**
 * Runs seeds with a deliberate bug until one of them breaks a rule.
 *
 * @param checksOrder false: only what comes of the bug counts, not that an effect had no record
 * @returns null where none did
 */
export async function catchMutation(
  farm: Farm,
  mutation: string,
  seedsMax: number,
  checksOrder = true,
): Promise<Caught | null> {
  const { broken } = await farm.run({
    firstSeed: 1,
    seeds: seedsMax,
    mutation,
    checksOrder,
    stopsAtFirst: true,
  });
  const first = [...broken].sort((left, right) => left.seed - right.seed).at(0);
  return first ? { seeds: first.seed, rule: first.rule, detail: first.detail } : null;
}
