import type { Random } from "../core/random.ts";
import type { BurstLoss } from "./settings.ts";

/** The state of one direction's burst loss. Advances once per packet, as in the literature. */
export class GilbertElliott {
  #bad = false;

  constructor(readonly random: Random) {}

  /** Moves to the next packet and says whether it is lost. */
  loses(settings: BurstLoss): boolean {
    const flip = this.#bad ? settings.badToGoodRatio : settings.goodToBadRatio;
    if (this.random.chance(flip)) this.#bad = !this.#bad;
    return this.random.chance(this.#bad ? settings.lossInBadRatio : settings.lossInGoodRatio);
  }
}

/**
 * Settings for a wanted mean loss in bursts of a wanted mean length, everything in a burst lost:
 * r = 1 / length and p = r * loss / (1 - loss).
 *
 * @param lossRatio above 0, below 1
 * @param meanBurstPackets at least 1
 * @throws {RangeError} when no such link exists (p would exceed 1)
 */
export function burstLossOf(lossRatio: number, meanBurstPackets: number): BurstLoss {
  const badToGoodRatio = 1 / meanBurstPackets;
  const goodToBadRatio = badToGoodRatio * lossRatio / (1 - lossRatio);
  if (!(lossRatio > 0 && lossRatio < 1 && meanBurstPackets >= 1 && goodToBadRatio <= 1)) {
    throw new RangeError(
      `no burst loss has a mean of ${lossRatio} in bursts of ${meanBurstPackets} packets`,
    );
  }
  return { goodToBadRatio, badToGoodRatio, lossInGoodRatio: 0, lossInBadRatio: 1 };
}

/** Long-run share of lost packets. */
export function meanLossRatio(settings: BurstLoss): number {
  const { goodToBadRatio: p, badToGoodRatio: r } = settings;
  // A chain that never moves stays in `good`, where it starts.
  const badShare = p + r === 0 ? 0 : p / (p + r);
  return badShare * settings.lossInBadRatio + (1 - badShare) * settings.lossInGoodRatio;
}
