/** Contiguous bytes of a disk with one property. Offsets and lengths are safe integers. */
export interface Extent {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** `data` must be read; `zero` reads as zeroes (a hole, or written zeroes). */
  readonly kind: "data" | "zero";
}

/** Joins neighbours of one kind; the input is sorted by offset and does not overlap. */
export function mergeExtents(extents: Iterable<Extent>): Extent[] {
  const merged: Extent[] = [];
  for (const extent of extents) {
    if (extent.lengthBytes === 0) continue;
    const last = merged.at(-1);
    if (
      last && last.kind === extent.kind &&
      last.offsetBytes + last.lengthBytes === extent.offsetBytes
    ) {
      merged[merged.length - 1] = { ...last, lengthBytes: last.lengthBytes + extent.lengthBytes };
    } else merged.push(extent);
  }
  return merged;
}

/** Sum of lengths, of one kind or of all. */
export function totalBytes(extents: Iterable<Extent>, kind?: Extent["kind"]): number {
  let sum = 0;
  for (const extent of extents) {
    if (kind === undefined || extent.kind === kind) sum += extent.lengthBytes;
  }
  return sum;
}

/** Cuts extents into pieces of at most `maxBytes`, so that one piece fits one read or frame. */
export function* splitExtents(extents: Iterable<Extent>, maxBytes: number): Generator<Extent> {
  if (!(maxBytes > 0)) throw new RangeError(`maxBytes must be positive, got ${maxBytes}`);
  for (const extent of extents) {
    if (extent.kind === "zero") {
      yield extent;
      continue;
    }
    for (let at = 0; at < extent.lengthBytes; at += maxBytes) {
      yield {
        offsetBytes: extent.offsetBytes + at,
        lengthBytes: Math.min(maxBytes, extent.lengthBytes - at),
        kind: extent.kind,
      };
    }
  }
}
