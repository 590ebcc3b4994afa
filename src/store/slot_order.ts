const NONE = 0xffff_ffff;

/** Slots in the order of their last use. */
export class SlotOrder {
  readonly #newer: Uint32Array;
  readonly #older: Uint32Array;
  readonly #isIn: Uint8Array;
  #oldest = NONE;
  #newest = NONE;

  constructor(slotCount: number) {
    this.#newer = new Uint32Array(slotCount);
    this.#older = new Uint32Array(slotCount);
    this.#isIn = new Uint8Array(slotCount);
  }

  /** The slot used longest ago; -1 when there is none. */
  get oldest(): number {
    return this.#oldest === NONE ? -1 : this.#oldest;
  }

  /** Puts a slot at the newest end, wherever it was. */
  touch(slot: number): void {
    if (slot === this.#newest) return;
    this.remove(slot);
    this.#older[slot] = this.#newest;
    this.#newer[slot] = NONE;
    if (this.#newest === NONE) this.#oldest = slot;
    else this.#newer[this.#newest] = slot;
    this.#newest = slot;
    this.#isIn[slot] = 1;
  }

  /** Takes a slot out; one that is not in it stays out. */
  remove(slot: number): void {
    if (this.#isIn[slot] === 0) return;
    this.#isIn[slot] = 0;
    const older = this.#older[slot];
    const newer = this.#newer[slot];
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
  }
}
