import type { Extent } from "../../core/extents.ts";
import { mergeExtents } from "../../core/extents.ts";
import type { Dice } from "./dice.ts";

/** What a disk's bitmaps, holes and cache count in. */
export const UNIT_BYTES = 4096;

/**
 * The image of a disk on a site's storage. What is written through a cache is seen at once and is on
 * storage only after a flush: until then the end of the process that wrote it may lose it.
 */
export class SimImage {
  /** As it is read, cache included. */
  readonly content: Uint8Array;
  readonly #stored: Uint8Array;
  readonly #unflushed = new Set<number>();
  readonly #allocated: Uint8Array;
  /** What a file is known to be untouched by: changes with every write. */
  version = 1;

  constructor(readonly path: string, readonly sizeBytes: number) {
    this.content = new Uint8Array(sizeBytes);
    this.#stored = new Uint8Array(sizeBytes);
    this.#allocated = new Uint8Array(Math.ceil(sizeBytes / UNIT_BYTES));
  }

  /** Everything that was written is on storage. */
  get isFlushed(): boolean {
    return this.#unflushed.size === 0;
  }

  get unitCount(): number {
    return this.#allocated.length;
  }

  /** Of a unit: all have the same but the last one. */
  extentOf(unit: number, kind: Extent["kind"] = "data"): Extent {
    const offsetBytes = unit * UNIT_BYTES;
    return { kind, offsetBytes, lengthBytes: Math.min(UNIT_BYTES, this.sizeBytes - offsetBytes) };
  }

  /** Sorted, without gaps, all of the disk: `zero` where nothing was ever written. */
  extents(): Extent[] {
    return mergeExtents(
      Array.from(this.#allocated, (data, unit) => this.extentOf(unit, data ? "data" : "zero")),
    );
  }

  write(offsetBytes: number, bytes: Uint8Array, { cached }: { readonly cached: boolean }): void {
    this.content.set(bytes, offsetBytes);
    this.#touched(offsetBytes, bytes.byteLength, cached, 1);
  }

  zero(offsetBytes: number, lengthBytes: number, { cached }: { readonly cached: boolean }): void {
    this.content.fill(0, offsetBytes, offsetBytes + lengthBytes);
    this.#touched(offsetBytes, lengthBytes, cached, 0);
  }

  flush(): void {
    for (const unit of this.#unflushed) this.#copy(unit, this.content, this.#stored);
    this.#unflushed.clear();
  }

  /** The cache is gone; each part of what was in it may have reached the storage before. */
  lose(dice: Dice): void {
    if (this.isFlushed) return;
    for (const unit of this.#unflushed) {
      const [from, to] = dice.chance(0.5)
        ? [this.content, this.#stored]
        : [this.#stored, this.content];
      this.#copy(unit, from, to);
      // What is there again was there once: nobody calls it a hole.
      this.#allocated[unit] = 1;
    }
    this.#unflushed.clear();
    this.version++;
  }

  #touched(offsetBytes: number, lengthBytes: number, cached: boolean, allocated: number): void {
    this.version++;
    const end = offsetBytes + lengthBytes;
    for (let unit = Math.floor(offsetBytes / UNIT_BYTES); unit * UNIT_BYTES < end; unit++) {
      const { offsetBytes: at, lengthBytes: unitBytes } = this.extentOf(unit);
      const isWhole = offsetBytes <= at && at + unitBytes <= end;
      if (allocated === 1 || isWhole) this.#allocated[unit] = allocated;
      if (cached) this.#unflushed.add(unit);
      else this.#copy(unit, this.content, this.#stored);
    }
  }

  #copy(unit: number, from: Uint8Array, to: Uint8Array): void {
    const { offsetBytes, lengthBytes } = this.extentOf(unit);
    to.set(from.subarray(offsetBytes, offsetBytes + lengthBytes), offsetBytes);
  }
}
