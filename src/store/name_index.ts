import { ChunkedU32 } from "../image/chunked.ts";
import { isSameName, NAME_WORDS } from "../image/content_name.ts";

const NONE = 0xffff_ffff;
const ENTRIES_MIN = 1024;

/**
 * Finds the place of a content by its whole name. Open addressing with linear probing, at most half
 * full: 32 bytes for each name, 8 to 16 for each entry.
 *
 * Entries are spread by a secret number: who can send contents whose names begin alike must not be
 * able to make every search long.
 */
export class NameIndex {
  #slots = new Uint32Array(ENTRIES_MIN).fill(NONE);
  #shift = 32 - Math.log2(ENTRIES_MIN);
  #count = 0;
  readonly #names = new ChunkedU32(NAME_WORDS);

  /** @param secret 32 random bits */
  constructor(private readonly secret: number) {}

  get count(): number {
    return this.#count;
  }

  /** The place of the content of this name; -1 when there is none. */
  find(name: Uint32Array): number {
    const mask = this.#slots.length - 1;
    for (let at = this.#home(name[0]);; at = (at + 1) & mask) {
      const place = this.#slots[at];
      if (place === NONE) return -1;
      if (isSameName(name, this.#names.chunkFor(place), this.#names.offsetOf(place))) return place;
    }
  }

  /** Adds a name that is not in the index. @param place a number that has no name yet */
  add(place: number, name: Uint32Array): void {
    if (2 * (this.#count + 1) > this.#slots.length) this.#grow();
    this.#names.chunkFor(place).set(name, this.#names.offsetOf(place));
    this.#insert(place);
    this.#count++;
  }

  /** Takes out the name of a place. The entries behind it move up, so that no tombstones gather. */
  remove(place: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let hole = this.#home(this.#names.get(place));
    while (slots[hole] !== place) {
      if (slots[hole] === NONE) return;
      hole = (hole + 1) & mask;
    }
    for (let at = (hole + 1) & mask; slots[at] !== NONE; at = (at + 1) & mask) {
      const home = this.#home(this.#names.get(slots[at]));
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      slots[hole] = slots[at];
      hole = at;
    }
    slots[hole] = NONE;
    this.#count--;
  }

  /** Copies the name of a place. */
  read(place: number, into: Uint32Array): void {
    for (let word = 0; word < NAME_WORDS; word++) into[word] = this.#names.get(place, word);
  }

  #home(word: number): number {
    return Math.imul(word ^ this.secret, 0x9e3779b1) >>> this.#shift;
  }

  #insert(place: number): void {
    const mask = this.#slots.length - 1;
    let at = this.#home(this.#names.get(place));
    while (this.#slots[at] !== NONE) at = (at + 1) & mask;
    this.#slots[at] = place;
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Uint32Array(2 * old.length).fill(NONE);
    this.#shift--;
    for (const place of old) if (place !== NONE) this.#insert(place);
  }
}
