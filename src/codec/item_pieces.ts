import type { MemoryItem } from "../guest/memory_items.ts";

/** Zero ranges put at once; each takes at most 10 bytes. */
const RANGES_PER_ITEM_MAX = 4_096;

/**
 * Parts of an item that fit what is left of the present batch, made one after the other.
 *
 * @param roomBytes asked again for each part
 */
export function* itemPieces(
  item: MemoryItem,
  pageBytes: number,
  roomBytes: () => number,
): Generator<MemoryItem> {
  if (item.kind === "pages") {
    const { length } = item.pageIndexes;
    for (let from = 0; from < length;) {
      const to = Math.min(length, from + Math.max(1, Math.floor(roomBytes() / pageBytes)));
      yield from === 0 && to === length ? item : {
        ...item,
        pageIndexes: item.pageIndexes.subarray(from, to),
        contents: item.contents.subarray(from * pageBytes, to * pageBytes),
      };
      from = to;
    }
  } else if (item.kind === "opaque") {
    const { bytes, reason } = item;
    let from = 0;
    do {
      const to = Math.min(bytes.byteLength, from + Math.max(1, roomBytes()));
      const part = bytes.subarray(from, to);
      // The reason is told once, with the first part.
      yield from === 0 && reason !== undefined
        ? { kind: "opaque", bytes: part, reason }
        : { kind: "opaque", bytes: part };
      from = to;
    } while (from < bytes.byteLength);
  } else if (item.kind === "zeros") {
    for (let from = 0; from < item.ranges.length; from += 2 * RANGES_PER_ITEM_MAX) {
      yield { ...item, ranges: item.ranges.subarray(from, from + 2 * RANGES_PER_ITEM_MAX) };
    }
  } else yield item;
}
