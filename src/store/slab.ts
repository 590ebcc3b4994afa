import {
  closeSync,
  constants,
  ftruncateSync,
  mkdirSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { UNIT_BYTES } from "../image/content_name.ts";
import { newStoreKey, readStoreKey, type StoreKey, writeStoreKey } from "./key_file.ts";
import {
  getRecord,
  putRecord,
  RECORD_BYTES,
  RECORD_WORDS,
  type SlotRecord,
} from "./slot_record.ts";
import { UnitCipher } from "./unit_cipher.ts";
import type { SlotWrite } from "./write_queue.ts";

/** Write numbers taken at once, 4 GiB of units: one fsync for so many. */
const NUMBERS_LEASED = 2 ** 20;
/** Records that are read at once. */
const RECORDS_AT_ONCE = 16_384;

/**
 * The files of a store: encrypted units by slot (`units`), a record for each (`slots`), and the key.
 * Nothing is synced but the key file: what a crash leaves inconsistent is found by name when it is
 * read. All methods throw what the file system throws.
 */
export class Slab {
  #nextNumber: number;
  readonly #cipher: UnitCipher;
  readonly #units: number;
  readonly #records: number;

  private constructor(
    private readonly directory: string,
    private readonly slotCount: number,
    readonly key: StoreKey,
  ) {
    this.#cipher = new UnitCipher(key.key);
    // Two processes on one directory would ruin each other's contents, and not use a number twice.
    this.#nextNumber = key.numbersLeased;
    this.#lease();
    this.#units = openSync(`${directory}/units`, constants.O_RDWR | constants.O_CREAT, 0o600);
    this.#records = openSync(`${directory}/slots`, constants.O_RDWR | constants.O_CREAT, 0o600);
    ftruncateSync(this.#units, slotCount * UNIT_BYTES);
    ftruncateSync(this.#records, slotCount * RECORD_BYTES);
  }

  /** Opens the files below `directory`; without a usable key they begin anew. */
  static open(directory: string, slotCount: number): Slab {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const known = readStoreKey(`${directory}/key`);
    if (known === null) {
      rmSync(`${directory}/units`, { force: true });
      rmSync(`${directory}/slots`, { force: true });
    }
    return new Slab(directory, slotCount, known ?? newStoreKey());
  }

  /** Removes all files: the next `open` begins with a new key. */
  static remove(directory: string): void {
    for (const name of ["key", "units", "slots"]) rmSync(`${directory}/${name}`, { force: true });
  }

  /** Gives every record that is whole; it is valid until the next one. */
  *records(): Generator<{ slot: number; record: SlotRecord }> {
    const words = new Uint32Array(RECORDS_AT_ONCE * RECORD_WORDS);
    const bytes = new Uint8Array(words.buffer);
    for (let first = 0; first < this.slotCount; first += RECORDS_AT_ONCE) {
      const read = readSync(this.#records, bytes, 0, bytes.byteLength, first * RECORD_BYTES);
      for (let i = 0; (i + 1) * RECORD_BYTES <= read; i++) {
        const slot = first + i;
        const record = getRecord(words.subarray(i * RECORD_WORDS, (i + 1) * RECORD_WORDS), slot);
        if (record !== null) yield { slot, record };
      }
    }
  }

  /**
   * Encrypts and writes contents.
   *
   * @param writes in the order of their slots: neighbours share a write
   * @param staging room for all of them
   * @returns the write number of the first; the others follow
   */
  write(writes: readonly SlotWrite[], staging: Uint8Array): number {
    const first = UnitCipher.consecutive(this.#nextNumber, writes.length);
    this.#nextNumber = first + writes.length;
    if (this.#nextNumber > this.key.numbersLeased) this.#lease();
    writes.forEach(({ content }, i) => staging.set(content, i * UNIT_BYTES));
    const units = this.#cipher.apply(first, staging.subarray(0, writes.length * UNIT_BYTES));
    writeRuns(this.#units, writes, units, UNIT_BYTES);
    return first;
  }

  /** Reads what a slot holds, as it was under this number. @returns false where the file ends */
  read(slot: number, writeNumber: number, into: Uint8Array): boolean {
    if (readSync(this.#units, into, 0, UNIT_BYTES, slot * UNIT_BYTES) !== UNIT_BYTES) return false;
    into.set(this.#cipher.apply(writeNumber, into.subarray(0, UNIT_BYTES)));
    return true;
  }

  /**
   * Writes what is known of slots.
   *
   * @param entries in the order of their slots; null: the slot is free
   */
  writeRecords(
    entries: readonly { readonly slot: number; readonly record: SlotRecord | null }[],
  ): void {
    const words = new Uint32Array(entries.length * RECORD_WORDS);
    entries.forEach(({ slot, record }, i) =>
      putRecord(record, slot, words.subarray(i * RECORD_WORDS, (i + 1) * RECORD_WORDS))
    );
    writeRuns(this.#records, entries, new Uint8Array(words.buffer), RECORD_BYTES);
  }

  /** Keeps what has changed in the key: its peers. */
  saveKey(): void {
    writeStoreKey(`${this.directory}/key`, this.key);
  }

  close(): void {
    closeSync(this.#units);
    closeSync(this.#records);
  }

  #lease(): void {
    this.key.numbersLeased = this.#nextNumber + NUMBERS_LEASED;
    this.saveKey();
  }
}

/** Writes pieces of one size to the places of their slots; neighbours go together. */
function writeRuns(
  file: number,
  places: readonly { readonly slot: number }[],
  bytes: Uint8Array,
  pieceBytes: number,
): void {
  for (let i = 0; i < places.length;) {
    let end = i + 1;
    while (end < places.length && places[end].slot === places[end - 1].slot + 1) end++;
    writeAll(file, bytes.subarray(i * pieceBytes, end * pieceBytes), places[i].slot * pieceBytes);
    i = end;
  }
}

function writeAll(file: number, bytes: Uint8Array, atByte: number): void {
  for (let done = 0; done < bytes.byteLength;) {
    done += writeSync(file, bytes, done, bytes.byteLength - done, atByte + done);
  }
}
