import { type Extent, mergeExtents } from "../core/extents.ts";
import type { Status } from "./protocol/block_status.ts";
import { ALLOCATION, DIRTY } from "./protocol/constants.ts";

/**
 * `base:allocation` as extents. Only what is known to read as zeroes is `zero`: a hole without the
 * zero flag has content that nobody promised.
 */
export function allocationExtents(statuses: Iterable<Status>): Extent[] {
  const extents: Extent[] = [];
  for (const { offsetBytes, lengthBytes, flags } of statuses) {
    extents.push({ offsetBytes, lengthBytes, kind: flags & ALLOCATION.zero ? "zero" : "data" });
  }
  return mergeExtents(extents);
}

/**
 * The dirty parts of a bitmap, each with the kind it has in `allocation` (all of it data where
 * allocation is not known). Both lists are sorted.
 */
export function dirtyParts(statuses: Iterable<Status>, allocation: readonly Extent[]): Extent[] {
  const parts: Extent[] = [];
  let index = 0;
  for (const { offsetBytes, lengthBytes, flags } of statuses) {
    if ((flags & DIRTY) === 0) continue;
    const end = offsetBytes + lengthBytes;
    for (let at = offsetBytes; at < end;) {
      while (index < allocation.length && endOf(allocation[index]) <= at) index++;
      const found = allocation[index];
      const inside = found !== undefined && found.offsetBytes <= at;
      const partEnd = Math.min(end, inside ? endOf(found) : found?.offsetBytes ?? end);
      const kind = inside ? found.kind : "data";
      parts.push({ offsetBytes: at, lengthBytes: partEnd - at, kind });
      at = partEnd;
    }
  }
  return mergeExtents(parts);
}

function endOf(extent: Extent): number {
  return extent.offsetBytes + extent.lengthBytes;
}
