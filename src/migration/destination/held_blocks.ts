import type { DiskBatch } from "../../codec/disk_batch.ts";
import { BLOCK_BYTES, digestBlock } from "../../image/block_digest.ts";
import { BLOCK_UNKNOWN, BLOCK_ZERO, type BlockMap, mapOf } from "../../image/block_map.ts";

/** What this site's disks hold while a move writes them, by number of the disk in the offer. */
export class HeldBlocks {
  readonly maps: (BlockMap | null)[];
  /** A block that arrives in several extents of one batch. */
  readonly #scratch = new Uint8Array(BLOCK_BYTES);

  constructor(diskBytes: readonly number[]) {
    this.maps = diskBytes.map(mapOf);
  }

  /** A batch is about to be written: until it is, nobody knows what its blocks hold. */
  writing({ disk, extents }: DiskBatch): void {
    const map = this.maps[disk];
    if (map === null) return;
    for (const { offsetBytes, lengthBytes } of extents) {
      const first = Math.floor(offsetBytes / BLOCK_BYTES);
      const end = Math.ceil((offsetBytes + lengthBytes) / BLOCK_BYTES);
      map.setRange(first, end - first, BLOCK_UNKNOWN);
    }
  }

  /**
   * What the blocks that a batch has whole, in one extent or in several, hold once it is written.
   *
   * @returns to be called then, and not before
   */
  written({ disk, extents, contents }: DiskBatch): () => void {
    const map = this.maps[disk];
    const known: Known[] = [];
    if (map === null) return () => {};
    const parts = new BlockParts(map, this.#scratch, known);
    let from = 0;
    for (const { kind, offsetBytes, lengthBytes } of extents) {
      const bytes = kind === "data" ? contents.subarray(from, from += lengthBytes) : null;
      const end = offsetBytes + lengthBytes;
      for (let at = offsetBytes; at < end;) {
        const block = Math.floor(at / BLOCK_BYTES);
        const start = block * BLOCK_BYTES;
        if (bytes === null && at === start) {
          const wholeEnd = end >= map.sizeBytes ? map.blockCount : Math.floor(end / BLOCK_BYTES);
          if (wholeEnd > block) {
            known.push({ block, count: wholeEnd - block, digest: null });
            at = wholeEnd * BLOCK_BYTES;
            continue;
          }
        }
        const next = Math.min(end, start + BLOCK_BYTES);
        const part = bytes?.subarray(at - offsetBytes, next - offsetBytes) ?? null;
        parts.add(block, at - start, next - at, part);
        at = next;
      }
    }
    return () => {
      for (const { block, count, digest } of known) {
        if (digest === null) map.setRange(block, count, BLOCK_ZERO);
        else map.setDigest(block, digest);
      }
    };
  }
}

/** Blocks and what they hold; digest null: zeroes. */
interface Known {
  readonly block: number;
  readonly count: number;
  readonly digest: Uint32Array | null;
}

/** Puts blocks together whose parts come in order, one after the other. */
class BlockParts {
  #block = -1;
  #filledBytes = 0;

  constructor(
    private readonly map: BlockMap,
    private readonly scratch: Uint8Array,
    private readonly known: Known[],
  ) {}

  /** @param bytes null: zeroes */
  add(block: number, at: number, lengthBytes: number, bytes: Uint8Array | null): void {
    if (at === 0) {
      this.#block = block;
      this.#filledBytes = 0;
    } else if (block !== this.#block || at !== this.#filledBytes) {
      this.#block = -1;
      return;
    }
    const isWhole = lengthBytes === this.map.bytesOf(block);
    if (!isWhole && bytes === null) this.scratch.fill(0, at, at + lengthBytes);
    else if (!isWhole) this.scratch.set(bytes!, at);
    this.#filledBytes += lengthBytes;
    if (this.#filledBytes < this.map.bytesOf(block)) return;
    const { isZero, digest } = digestBlock(
      isWhole && bytes !== null ? bytes : this.scratch,
      0,
      this.#filledBytes,
    );
    this.known.push({ block, count: 1, digest: isZero ? null : digest });
    this.#block = -1;
  }
}
