/** Entries of one chunk: small enough that a few scattered pages cost little. */
export const CHUNK_ENTRIES = 16_384;
const SHIFT = 14;
const MASK = CHUNK_ENTRIES - 1;

/** Numbers by page, allocated in chunks when they are first written; 0 before. */
export class ChunkedU32 {
  readonly #chunks: (Uint32Array | undefined)[] = [];

  /** @param width numbers of one entry */
  constructor(private readonly width = 1) {}

  get(entry: number, at = 0): number {
    const chunk = this.#chunks[entry >>> SHIFT];
    return chunk === undefined ? 0 : chunk[(entry & MASK) * this.width + at];
  }

  set(entry: number, value: number): void {
    this.chunkFor(entry)[(entry & MASK) * this.width] = value;
  }

  /** The array that holds an entry, for writing; it begins at `offsetOf(entry)` there. */
  chunkFor(entry: number): Uint32Array {
    return this.#chunks[entry >>> SHIFT] ??= new Uint32Array(CHUNK_ENTRIES * this.width);
  }

  offsetOf(entry: number): number {
    return (entry & MASK) * this.width;
  }

  get allocatedBytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + (chunk?.byteLength ?? 0), 0);
  }
}

/** Numbers of entries from `first` on that one chunk has, `count` of them at most. */
export function entriesOfChunk(first: number, count: number): number {
  return Math.min(count, CHUNK_ENTRIES - (first & MASK));
}

/** The same for bytes; a chunk of which all entries were filled alike takes no memory. */
export class ChunkedU8 {
  readonly #chunks: (Uint8Array | number | undefined)[] = [];

  get(entry: number): number {
    const chunk = this.#chunks[entry >>> SHIFT];
    if (chunk === undefined) return 0;
    return typeof chunk === "number" ? chunk : chunk[entry & MASK];
  }

  set(entry: number, value: number): void {
    this.#writable(entry >>> SHIFT)[entry & MASK] = value;
  }

  /** Entries of one chunk (`entriesOfChunk`), to look at; null where all of that chunk are alike. */
  differing(first: number, count: number): Uint8Array | null {
    const chunk = this.#chunks[first >>> SHIFT];
    if (chunk === undefined || typeof chunk === "number") return null;
    return chunk.subarray(first & MASK, (first & MASK) + count);
  }

  /** Sets entries of one chunk. */
  fill(first: number, count: number, value: number): void {
    if (count === CHUNK_ENTRIES) this.#chunks[first >>> SHIFT] = value;
    else this.#writable(first >>> SHIFT).fill(value, first & MASK, (first & MASK) + count);
  }

  #writable(index: number): Uint8Array {
    const chunk = this.#chunks[index];
    if (typeof chunk === "object") return chunk;
    const made = new Uint8Array(CHUNK_ENTRIES);
    if (chunk !== undefined) made.fill(chunk);
    return this.#chunks[index] = made;
  }
}
