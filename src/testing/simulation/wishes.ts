import type { z } from "zod";
import type { MigrationChanges, migrationOptions } from "../../migration/options.ts";
import type { Dice } from "./dice.ts";

/** What an operator wants of a move that he starts. */
export function optionsOf(dice: Dice): z.input<typeof migrationOptions> {
  return {
    strategy: dice.weighted({ precopy: 80, "stop-and-copy": 14, seed: 6 }),
    // The hand-over alone takes 90 ms of it.
    maxDowntimeMs: dice.pick([100, 300, 1_000, 3_000, 3_000, 10_000]),
    hold: dice.chance(0.12),
    holdMemoryMs: dice.pick([0, 500, 600_000]),
    rate: dice.chance(0.15) ? rateOf(dice) : null,
    whenOver: dice.chance(0.4) ? remediesOf(dice) : ["wait"],
    handover: dice.chance(0.4) ? "confirmed" : "fast",
    keepSource: dice.chance(0.1),
    disable: dice.chance(0.1) ? [dice.pick(["warm", "delta", "unchanged", "zero"] as const)] : [],
  };
}

/** What he changes while it runs. */
export function changesOf(dice: Dice): MigrationChanges {
  switch (dice.below(5)) {
    case 0:
      return { maxDowntimeMs: dice.pick([50, 300, 2_000]) };
    case 1:
      return { rate: dice.pick([null, 200_000, 5_000_000, rateOf(dice)]) };
    case 2:
      return { whenOver: remediesOf(dice) };
    case 3:
      return { hold: dice.chance(0.5), holdMemoryMs: dice.pick([0, 500]) };
    default:
      return { priority: dice.pick(["low", "normal", "high"]), weight: 1 + dice.below(1_000) };
  }
}

function rateOf(dice: Dice): NonNullable<MigrationChanges["rate"]> {
  return dice.pick<NonNullable<MigrationChanges["rate"]>>([
    300_000,
    { policy: "fixed", bytesPerSecond: 150_000 },
    {
      policy: "clark",
      minBytesPerSecond: 100_000,
      maxBytesPerSecond: 2_000_000,
      incrementBytesPerSecond: 100_000,
    },
    { policy: "fair", maxBytesPerSecond: null },
  ]);
}

function remediesOf(dice: Dice): NonNullable<MigrationChanges["whenOver"]> {
  return dice.pick<NonNullable<MigrationChanges["whenOver"]>>([
    ["throttleDisks", "throttleCpu", "wait"],
    ["throttleCpu", "ask", "wait"],
    ["ask", "giveUp"],
    ["throttleDisks", "giveUp"],
  ]);
}
