import { UNIT_BYTES } from "../image/content_name.ts";

/** One content to be written. */
export interface SlotWrite {
  readonly slot: number;
  readonly content: Uint8Array;
}

/** Contents of slots that are not in the file yet: a bounded number, in one piece of memory. */
export class WriteQueue {
  #memory = new Uint8Array(0);
  readonly #cells = new Map<number, number>();
  readonly #freeCells: number[] = [];

  constructor(readonly unitsMax: number) {}

  get count(): number {
    return this.#cells.size;
  }

  get isFull(): boolean {
    return this.#cells.size >= this.unitsMax;
  }

  has(slot: number): boolean {
    return this.#cells.has(slot);
  }

  get slots(): Iterable<number> {
    return this.#cells.keys();
  }

  /** Copies the content of a slot that is not waiting yet. The queue is not full. */
  add(slot: number, content: Uint8Array): void {
    if (this.#memory.byteLength === 0) {
      this.#memory = new Uint8Array(this.unitsMax * UNIT_BYTES);
      for (let cell = this.unitsMax - 1; cell >= 0; cell--) this.#freeCells.push(cell);
    }
    const cell = this.#freeCells.pop()!;
    this.#memory.set(content, cell * UNIT_BYTES);
    this.#cells.set(slot, cell);
  }

  /** What waits for a slot: a view, valid until it is taken and another is added. */
  get(slot: number): Uint8Array | null {
    const cell = this.#cells.get(slot);
    return cell === undefined ? null : this.#contentOf(cell);
  }

  delete(slot: number): void {
    const cell = this.#cells.get(slot);
    if (cell === undefined) return;
    this.#cells.delete(slot);
    this.#freeCells.push(cell);
  }

  /** Takes out what waits longest, in the order of the slots; contents are valid until `add`. */
  take(countMax: number): SlotWrite[] {
    const writes: SlotWrite[] = [];
    for (const [slot, cell] of this.#cells) {
      if (writes.length === countMax) break;
      writes.push({ slot, content: this.#contentOf(cell) });
    }
    for (const { slot } of writes) this.delete(slot);
    return writes.sort((a, b) => a.slot - b.slot);
  }

  #contentOf(cell: number): Uint8Array {
    return this.#memory.subarray(cell * UNIT_BYTES, (cell + 1) * UNIT_BYTES);
  }
}
