import { UNIT_WORDS } from "./block_digest.ts";
import { ChunkedU32 } from "./chunked.ts";

/** Beside the words of an entry: its place in the order, as measured of a Map of numbers. */
const ORDER_BYTES = 64;
const ENTRY_BYTES = UNIT_WORDS * 4 + ORDER_BYTES;
/** Disks are told apart in one key; a map has at most 2^32 blocks. */
const DISK_KEYS = 2 ** 32;

/**
 * Digests of the 4 KiB units of blocks, as many as a bound allows; the block that was put in longest
 * ago leaves first. A machine writes again what it wrote lately, and who writes all of a disk gains
 * nothing from any order.
 */
export class UnitDigests {
  /** Slot by block, the one put in longest ago first. */
  readonly #slots = new Map<number, number>();
  readonly #words = new ChunkedU32(UNIT_WORDS);
  readonly #capacity: number;

  /** @param boundBytes what all entries together may take: 320 bytes for each block */
  constructor(boundBytes: number) {
    this.#capacity = Math.max(1, Math.floor(boundBytes / ENTRY_BYTES));
  }

  get blockCount(): number {
    return this.#slots.size;
  }

  /** The digests of a block's units, valid until the next `set`; null where they are not kept. */
  get(disk: number, block: number): Uint32Array | null {
    const slot = this.#slots.get(keyOf(disk, block));
    if (slot === undefined) return null;
    const start = this.#words.offsetOf(slot);
    return this.#words.chunkFor(slot).subarray(start, start + UNIT_WORDS);
  }

  /** Keeps a copy of `units`. */
  set(disk: number, block: number, units: Uint32Array): void {
    const key = keyOf(disk, block);
    const slot = this.#slots.get(key) ?? this.#freeSlot();
    this.#slots.delete(key);
    this.#slots.set(key, slot);
    this.#words.chunkFor(slot).set(units, this.#words.offsetOf(slot));
  }

  #freeSlot(): number {
    if (this.#slots.size < this.#capacity) return this.#slots.size;
    const [oldest, slot] = this.#slots.entries().next().value!;
    this.#slots.delete(oldest);
    return slot;
  }
}

function keyOf(disk: number, block: number): number {
  return disk * DISK_KEYS + block;
}
