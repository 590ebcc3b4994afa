import type { IoLimits } from "./answers.ts";

/** What `block_set_io_throttle` knows a drive by: its device, or the drive's own name. */
export type ThrottleHandle = { readonly id: string } | { readonly device: string };

/** A drive's limits as they were found. Plain JSON: it goes into the notes of a move. */
export interface FoundLimits {
  readonly handle: ThrottleHandle;
  readonly limits: IoLimits;
}

/** Drives without limits of their own share this group, so one cap holds for their sum. */
export const THROTTLE_GROUP = "causeway";

const NO_LIMITS = { bps: 0, bps_rd: 0, bps_wr: 0, iops: 0, iops_rd: 0, iops_wr: 0 } as const;

/**
 * Pure: the arguments of one `block_set_io_throttle` for each drive that hold the writes of all of
 * them to `bytesPerSecond`, and loosen nothing.
 *
 * A drive that has limits keeps its group and gets the part of the cap that is its own, because the
 * limits of a group are those of all its members, and other drives may be among them.
 */
export function cappedWrites(
  found: readonly FoundLimits[],
  bytesPerSecond: number,
): Record<string, unknown>[] {
  const membersOf = new Map<string, number>();
  for (const { limits } of found) {
    membersOf.set(groupOf(limits), (membersOf.get(groupOf(limits)) ?? 0) + 1);
  }
  return found.map(({ handle, limits }) => {
    const group = groupOf(limits);
    const part = Math.max(1, Math.floor(bytesPerSecond * membersOf.get(group)! / found.length));
    return { ...handle, ...capped(limits, part), group };
  });
}

/** Pure: the arguments that give each drive back what it had. */
export function foundLimits(found: readonly FoundLimits[]): Record<string, unknown>[] {
  return found.map(({ handle, limits }) => ({ ...handle, ...limits }));
}

/** Pure: whether a drive has limits of its own; QEMU names a group wherever there are any. */
export function hasLimits(limits: IoLimits): boolean {
  return limits.group !== undefined;
}

function groupOf(limits: IoLimits): string {
  return limits.group ?? THROTTLE_GROUP;
}

function capped(limits: IoLimits, writeBytesPerSecond: number): Record<string, unknown> {
  if (!hasLimits(limits)) return { ...NO_LIMITS, bps_wr: writeBytesPerSecond };
  const { bps, bps_wr, bps_max: _, bps_max_length: _length, ...others } = limits;
  const { bps_wr_max: _burst, bps_wr_max_length: _burstLength, ...kept } = others;
  const narrowest = Math.min(...[bps, bps_wr, Infinity].filter((limit) => limit > 0));
  if (narrowest <= writeBytesPerSecond) return { ...limits };
  // QEMU takes a limit of the sum or limits of both ways, not all three: what the sum leaves is for
  // reading then.
  return bps === 0
    ? { ...kept, bps, bps_wr: writeBytesPerSecond }
    : { ...kept, bps: 0, bps_rd: bps - writeBytesPerSecond, bps_wr: writeBytesPerSecond };
}
