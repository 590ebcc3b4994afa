/** Classes of machines that share a link, the first goes first. */
export const PRIORITIES = ["high", "normal", "low"] as const;
/** One of them. */
export type Priority = typeof PRIORITIES[number];

export const WEIGHT_MAX = 1_000;

/** What one machine gets of the link that it shares with others. */
export interface MigrationShare {
  /** Which class it belongs to. */
  readonly priority: Priority;
  /** Its part of what its class gets, against the weights of the others in it: 1 to `WEIGHT_MAX`. */
  readonly weight: number;
}

/** Of a machine that nothing was said about. */
export const SHARE_DEFAULT: MigrationShare = { priority: "normal", weight: 100 };

/** @throws {RangeError} for a share that is none */
export function checkShare({ priority, weight }: MigrationShare): void {
  if (!PRIORITIES.includes(priority)) {
    throw new RangeError(`A priority is one of ${PRIORITIES.join(", ")}, got ${priority}`);
  }
  if (!(Number.isSafeInteger(weight) && weight >= 1 && weight <= WEIGHT_MAX)) {
    throw new RangeError(`A weight is an integer from 1 to ${WEIGHT_MAX}, got ${weight}`);
  }
}
