import type { MemoryItem } from "../guest/memory_items.ts";
import { BODY_BYTES_MAX, checkLevel, ZSTD_LEVEL } from "./envelope.ts";
import { type MemoryBatch, MemoryBatchWriter } from "./memory_batch.ts";
import { PAGE_BYTES_MAX } from "./memory_layout.ts";

/** Raw bytes of a batch: large enough for zstd, short enough (tens of ms) on a slow link. */
export const MEMORY_BATCH_BYTES = 256 * 1024;

/** Zero ranges put at once; each takes at most 10 bytes. */
const RANGES_PER_ITEM_MAX = 4_096;

export interface MemoryBatcherOptions {
  /** A batch is full at so many bytes before compression. */
  readonly targetBytes?: number;
  readonly level?: number;
}

/** Cuts a stream of memory items into batches of about equal size. */
export interface MemoryBatcher {
  /** zstd level of batches from now on. */
  level: number;
  /** Takes items, copying their bytes; gives each batch that became full. */
  add(items: Iterable<MemoryItem>): Generator<MemoryBatch>;
  /** Gives what is left, if anything. */
  flush(): Generator<MemoryBatch>;
}

/** A batcher with nothing in it. @throws {RangeError} for a target or level out of range */
export function createMemoryBatcher(
  { targetBytes = MEMORY_BATCH_BYTES, level = ZSTD_LEVEL }: MemoryBatcherOptions = {},
): MemoryBatcher {
  // Half of the limit, so that indexes and the last item beyond the target fit as well.
  if (!(targetBytes >= PAGE_BYTES_MAX && targetBytes <= BODY_BYTES_MAX / 2)) {
    throw new RangeError(`targetBytes must be ${PAGE_BYTES_MAX} to ${BODY_BYTES_MAX / 2}`);
  }
  checkLevel(level);
  return new Batcher(targetBytes, level);
}

class Batcher implements MemoryBatcher {
  readonly #writer: MemoryBatchWriter;

  constructor(private readonly targetBytes: number, public level: number) {
    this.#writer = new MemoryBatchWriter(targetBytes + PAGE_BYTES_MAX);
  }

  *add(items: Iterable<MemoryItem>): Generator<MemoryBatch> {
    for (const item of items) {
      for (const piece of this.#pieces(item)) {
        this.#writer.put(piece);
        if (this.#writer.bodyBytes >= this.targetBytes) yield* this.flush();
      }
    }
  }

  *flush(): Generator<MemoryBatch> {
    const batch = this.#writer.take(this.level);
    if (batch !== null) yield batch;
  }

  /** Parts of an item that fit what is left of the present batch, made one after the other. */
  *#pieces(item: MemoryItem): Generator<MemoryItem> {
    if (item.kind === "pages") {
      const pageBytes = this.#writer.layout?.pageBytes ?? PAGE_BYTES_MAX;
      const { length } = item.pageIndexes;
      for (let from = 0; from < length;) {
        const to = Math.min(length, from + Math.max(1, Math.floor(this.#roomBytes() / pageBytes)));
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
        const to = Math.min(bytes.byteLength, from + Math.max(1, this.#roomBytes()));
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

  #roomBytes(): number {
    return this.targetBytes - this.#writer.bodyBytes;
  }
}
