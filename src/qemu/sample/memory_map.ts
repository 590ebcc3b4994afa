/** A range of the machine's physical memory, in bytes. */
export interface MemoryRange {
  readonly start: number;
  readonly length: number;
}

const RAM_LINE = /^\s+([0-9a-f]{16})-([0-9a-f]{16}) \(prio -?\d+, ram\): \S/;
/** Smaller ones are holes of the board's own making. */
const RANGE_BYTES_MIN = 1024 * 1024;

/**
 * Pure: where the machine has memory, and no devices, by `info mtree -f`.
 *
 * Only what reads as memory is taken, because a device may act when it is read: the text is for
 * people, and one that is not understood gives no ranges.
 */
export function ramRanges(flatMemoryTree: string): MemoryRange[] {
  const view = flatMemoryTree.split(/^FlatView #\d+\r?$/m)
    .find((each) => /^ AS "memory"/m.test(each));
  return (view ?? "").split(/\r?\n/).flatMap((line) => {
    const [, first, last] = RAM_LINE.exec(line) ?? [];
    if (first === undefined) return [];
    const start = parseInt(first, 16);
    const length = parseInt(last, 16) - start + 1;
    return Number.isSafeInteger(start + length) && length >= RANGE_BYTES_MIN
      ? [{ start, length }]
      : [];
  });
}

/**
 * Pure: addresses of `count` chunks, one at a random place in each of as many equal parts of all
 * ranges; all chunks there are where these are not more.
 *
 * @param random a number from 0 to below 1
 */
export function spreadChunks(
  ranges: readonly MemoryRange[],
  chunkBytes: number,
  count: number,
  random: () => number,
): number[] {
  const inRange = ranges.map(({ length }) => Math.floor(length / chunkBytes));
  const all = inRange.reduce((sum, chunks) => sum + chunks, 0);
  const taken = Math.min(count, all);
  return Array.from({ length: taken }, (_, part) => {
    const from = Math.floor(part * all / taken);
    const to = Math.floor((part + 1) * all / taken);
    let chunk = from + Math.floor(random() * (to - from));
    let range = 0;
    while (chunk >= inRange[range]) chunk -= inRange[range++];
    return ranges[range].start + chunk * chunkBytes;
  });
}
