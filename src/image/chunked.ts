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

/** The same for bytes. */
export class ChunkedU8 {
  readonly #chunks: (Uint8Array | undefined)[] = [];

  get(entry: number): number {
    const chunk = this.#chunks[entry >>> SHIFT];
    return chunk === undefined ? 0 : chunk[entry & MASK];
  }

  set(entry: number, value: number): void {
    const chunk = this.#chunks[entry >>> SHIFT] ??= new Uint8Array(CHUNK_ENTRIES);
    chunk[entry & MASK] = value;
  }

  get allocatedBytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + (chunk?.byteLength ?? 0), 0);
  }
}
