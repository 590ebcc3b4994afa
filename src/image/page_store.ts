import { Buffer } from "node:buffer";

/** Pages are allocated in pieces of this size, when they are needed. */
const PIECE_BYTES = 1024 * 1024;
const NONE = 0xffff_ffff;

/**
 * Contents of a bounded number of pages in memory, in the order of their last use. Slots are numbers
 * from 0; what a slot holds is found by `pieceOf` and `offsetOf`.
 */
export class PageStore {
  /** Pages that fit. */
  readonly capacity: number;
  readonly #slotsPerPiece: number;
  readonly #pieces: Uint8Array[] = [];
  /** The same memory for comparisons, which only Buffers do natively. */
  readonly #buffers: Buffer[] = [];
  readonly #words: Uint32Array[] = [];
  /** Neighbours of each slot, from the one used longest ago (`#oldest`) to `#newest`. */
  #newer = new Uint32Array(0);
  #older = new Uint32Array(0);
  #page = new Uint32Array(0);
  #oldest = NONE;
  #newest = NONE;
  /** Pinned slots are the oldest ones, up to this one. */
  #newestPinned = NONE;
  #pinnedCount = 0;
  #isPinned = new Uint8Array(0);
  readonly #free: number[] = [];
  #usedSlots = 0;
  #count = 0;

  constructor(readonly pageBytes: number, boundBytes: number) {
    this.capacity = Math.floor(boundBytes / pageBytes);
    this.#slotsPerPiece = Math.max(1, Math.floor(PIECE_BYTES / pageBytes));
  }

  get count(): number {
    return this.#count;
  }

  /** Pinned pages do not count. */
  get isFull(): boolean {
    return this.#count - this.#pinnedCount >= this.capacity;
  }

  /**
   * What is in here now stays until it is used or released, and takes no room from what comes: with
   * it, twice the bound may be in memory.
   */
  pin(): void {
    for (let slot = this.#oldest; slot !== NONE; slot = this.#newer[slot]) this.#isPinned[slot] = 1;
    this.#newestPinned = this.#newest;
    this.#pinnedCount = this.#count;
  }

  /** Pinned pages are like all others again; there may be more than fit then. */
  unpin(): void {
    this.#isPinned.fill(0);
    this.#newestPinned = NONE;
    this.#pinnedCount = 0;
  }

  /** Takes a slot for a page, as the newest; its content is undefined. The caller made room. */
  add(page: number): number {
    if (this.isFull) throw new RangeError("The page store is full");
    const slot = this.#free.pop() ?? this.#newSlot();
    this.#page[slot] = page;
    this.#count++;
    this.#append(slot);
    return slot;
  }

  release(slot: number): void {
    this.#unlink(slot);
    this.#free.push(slot);
    this.#count--;
  }

  /** Makes a slot the newest. */
  touch(slot: number): void {
    if (slot === this.#newest && this.#isPinned[slot] === 0) return;
    this.#unlink(slot);
    this.#append(slot);
  }

  /** The slot used longest ago that is not pinned; -1 when there is none. */
  get oldest(): number {
    const slot = this.#newestPinned === NONE ? this.#oldest : this.#newer[this.#newestPinned];
    return slot === NONE ? -1 : slot;
  }

  /** The slot used next after `slot`; -1 behind the newest. */
  newerThan(slot: number): number {
    const next = this.#newer[slot];
    return next === NONE ? -1 : next;
  }

  pageOf(slot: number): number {
    return this.#page[slot];
  }

  pieceOf(slot: number): Uint8Array {
    return this.#pieces[Math.floor(slot / this.#slotsPerPiece)];
  }

  /**
   * True when a slot holds this page. It begins at 0 of `content` on purpose: Deno 2.9 checks the
   * end of a compared range against the length of the other buffer.
   */
  equals(slot: number, content: Uint8Array): boolean {
    const from = this.offsetOf(slot);
    const buffer = this.#buffers[Math.floor(slot / this.#slotsPerPiece)];
    return buffer.compare(content, 0, this.pageBytes, from, from + this.pageBytes) === 0;
  }

  /** The same memory as words; a slot begins at `offsetOf(slot) / 4`. */
  wordsOf(slot: number): Uint32Array {
    return this.#words[Math.floor(slot / this.#slotsPerPiece)];
  }

  offsetOf(slot: number): number {
    return (slot % this.#slotsPerPiece) * this.pageBytes;
  }

  clear(): void {
    this.unpin();
    this.#oldest = this.#newest = NONE;
    this.#pieces.length =
      this.#buffers.length =
      this.#words.length =
      this.#free.length =
        0;
    this.#usedSlots = this.#count = 0;
  }

  #newSlot(): number {
    const slot = this.#usedSlots++;
    if (slot % this.#slotsPerPiece === 0) {
      const memory = new ArrayBuffer(this.#slotsPerPiece * this.pageBytes);
      this.#pieces.push(new Uint8Array(memory));
      this.#buffers.push(Buffer.from(memory));
      this.#words.push(new Uint32Array(memory));
    }
    if (slot === this.#page.length) {
      this.#newer = grown(this.#newer);
      this.#older = grown(this.#older);
      this.#page = grown(this.#page);
      const pinned = new Uint8Array(this.#page.length);
      pinned.set(this.#isPinned);
      this.#isPinned = pinned;
    }
    return slot;
  }

  #append(slot: number): void {
    this.#older[slot] = this.#newest;
    this.#newer[slot] = NONE;
    if (this.#newest === NONE) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
  }

  #unlink(slot: number): void {
    const older = this.#older[slot];
    const newer = this.#newer[slot];
    if (this.#isPinned[slot] === 1) {
      this.#isPinned[slot] = 0;
      this.#pinnedCount--;
      if (slot === this.#newestPinned) this.#newestPinned = older;
    }
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
  }
}

function grown(array: Uint32Array): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(Math.max(256, 2 * array.length));
  larger.set(array);
  return larger;
}
