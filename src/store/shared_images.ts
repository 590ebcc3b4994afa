import { closeSync, openSync, read, readSync } from "node:fs";
import { ChunkedU32 } from "../image/chunked.ts";
import {
  hintOf,
  isSameName,
  isZeroUnit,
  nameBuffer,
  nameContent,
  UNIT_BYTES,
} from "../image/content_name.ts";
import { NameIndex } from "./name_index.ts";

/** Units of all shared images together, 16 GiB: their names take 200 MiB of memory. */
export const SHARED_UNITS_MAX = 2 ** 22;
/** Hashed between two turns of the event loop: about a millisecond. */
const BYTES_AT_ONCE = 1024 * 1024;

interface SharedFile {
  readonly file: number;
  /** Number of its first unit; units count through all files. */
  readonly first: number;
}

/**
 * Images whose content any peer may refer to. The files stay where they are and are never written:
 * only their names are kept, in memory, so they cost no room in the store. A file that changes under
 * its names gives nothing any more: what is read is named again.
 */
export class SharedImages {
  readonly #index: NameIndex;
  readonly #files: SharedFile[] = [];
  readonly #name = nameBuffer();
  /** Unit of each name, in the order in which they were found; zeros and repetitions have none. */
  readonly #units = new ChunkedU32();
  #namedCount = 0;
  #unitCount = 0;
  #isClosed = false;
  /** The file that is being read aside: whoever closes must leave it to its reader. */
  #reading: number | null = null;

  constructor(secret: number) {
    this.#index = new NameIndex(secret);
  }

  /** Contents that can be referred to so far. */
  get count(): number {
    return this.#index.count;
  }

  /**
   * Reads and names a file, piece by piece, beside everything else. One at a time.
   *
   * @throws what the file system throws; what was named before stays
   */
  async add(path: string): Promise<void> {
    if (this.#isClosed) return;
    const file = openSync(path, "r");
    const first = this.#unitCount;
    this.#files.push({ file, first });
    this.#reading = file;
    try {
      await this.#nameAll(file, first);
    } finally {
      this.#reading = null;
      if (this.#isClosed) closeSync(file);
    }
  }

  async #nameAll(file: number, first: number): Promise<void> {
    const bytes = new Uint8Array(BYTES_AT_ONCE);
    for (let atByte = 0; !this.#isClosed;) {
      const count = await readAt(file, bytes, atByte);
      // A last piece that is no whole unit has no name.
      const units = Math.floor(count / UNIT_BYTES);
      if (units === 0 || this.#isClosed) break;
      if (first + atByte / UNIT_BYTES + units > SHARED_UNITS_MAX) {
        throw new RangeError(`shared images have more than ${SHARED_UNITS_MAX} units together`);
      }
      for (let i = 0; i < units; i++) {
        const unit = bytes.subarray(i * UNIT_BYTES, (i + 1) * UNIT_BYTES);
        this.#nameUnit(first + atByte / UNIT_BYTES + i, unit);
      }
      atByte += units * UNIT_BYTES;
      this.#unitCount = first + atByte / UNIT_BYTES;
    }
  }

  /** Copies the content of this name. @returns false when no file has it now */
  get(name: Uint32Array, into: Uint8Array): boolean {
    const place = this.#index.find(name);
    if (place < 0) return false;
    const number = this.#units.get(place);
    const { file, first } = this.#files.findLast((each) => each.first <= number)!;
    const unit = into.subarray(0, UNIT_BYTES);
    try {
      const read = readSync(file, unit, 0, UNIT_BYTES, (number - first) * UNIT_BYTES);
      nameContent(unit, this.#name);
      if (read === UNIT_BYTES && isSameName(this.#name, name)) return true;
    } catch {
      // As unreadable as changed.
    }
    this.#index.remove(place);
    return false;
  }

  /** Hints of the first contents, `countMax` at most. */
  *hints(countMax: number): Generator<number> {
    const name = nameBuffer();
    for (let place = 0; place < this.#namedCount && countMax > 0; place++) {
      this.#index.read(place, name);
      // One that was found changed is not in the index any more.
      if (this.#index.find(name) !== place) continue;
      countMax--;
      yield hintOf(name);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const { file } of this.#files) if (file !== this.#reading) closeSync(file);
  }

  #nameUnit(number: number, unit: Uint8Array): void {
    if (isZeroUnit(unit)) return;
    nameContent(unit, this.#name);
    if (this.#index.find(this.#name) >= 0) return;
    this.#units.set(this.#namedCount, number);
    this.#index.add(this.#namedCount++, this.#name);
  }
}

/** Fills `bytes` as far as the file goes. */
function readAt(file: number, bytes: Uint8Array, atByte: number): Promise<number> {
  return new Promise((resolve, reject) =>
    read(file, bytes, 0, bytes.byteLength, atByte, (error, count) => {
      if (error) reject(error);
      else resolve(count);
    })
  );
}
