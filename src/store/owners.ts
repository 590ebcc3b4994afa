import { OWNERS_MAX } from "./slot_record.ts";

/** Who has sent the content of each slot, as numbers of peers from 1 on. */
export class Owners {
  readonly #owners: Uint16Array;

  constructor(slotCount: number) {
    this.#owners = new Uint16Array(OWNERS_MAX * slotCount);
  }

  /** The owners of a slot, 0 for none: a view. */
  of(slot: number): Uint16Array {
    return this.#owners.subarray(OWNERS_MAX * slot, OWNERS_MAX * (slot + 1));
  }

  /** @param owner 0 is nobody's number */
  has(slot: number, owner: number): boolean {
    if (owner === 0) return false;
    for (let i = OWNERS_MAX * slot; i < OWNERS_MAX * (slot + 1); i++) {
      if (this.#owners[i] === owner) return true;
    }
    return false;
  }

  /** Forgets the owners of a slot. */
  clear(slot: number): void {
    this.#owners.fill(0, OWNERS_MAX * slot, OWNERS_MAX * (slot + 1));
  }

  /** Adds an owner. Of too many the first is forgotten: it sends that content again. */
  add(slot: number, owner: number): void {
    const owners = this.of(slot);
    const free = owners.indexOf(0);
    if (free < 0) owners.copyWithin(0, 1);
    owners[free < 0 ? OWNERS_MAX - 1 : free] = owner;
  }
}
