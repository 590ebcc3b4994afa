import { ratePolicy } from "./control/wishes.ts";
import { fixedCap } from "./fixed_cap.ts";
import { type MigrationOptions, migrationOptions } from "./options.ts";

const { rate, weight, priority, whenOver, window, holdMemoryMs } = migrationOptions.shape;

/**
 * The options of a move as they cross the link in its offer. Gateways of both sites need not be of
 * one version: those before policies take a number or null as `rate` and drop keys that they do not
 * know, so a policy has a key of its own. The destination shows these wishes until the source's
 * first report and acts by none of them: what it cannot read is the default, not a refused move.
 */
export const offeredOptions = migrationOptions.extend({
  rate: rate.catch(null),
  ratePolicy: ratePolicy.nullable().default(null).catch(null),
  weight: weight.catch(() => weight.parse(undefined)),
  priority: priority.catch(() => priority.parse(undefined)),
  whenOver: whenOver.catch(() => whenOver.parse(undefined)),
  window: window.catch(null),
  holdMemoryMs: holdMemoryMs.catch(() => holdMemoryMs.parse(undefined)),
}).transform(({ ratePolicy, ...options }): MigrationOptions => ({
  ...options,
  rate: ratePolicy ?? options.rate,
}));

/** What is put into an offer for it. */
export function toOffered(options: MigrationOptions): MigrationOptions {
  const { rate } = options;
  if (rate === null || typeof rate === "number") return { ...options };
  const offered = { ...options, rate: fixedCap(rate), ratePolicy: rate };
  return offered;
}
