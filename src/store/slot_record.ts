import { NAME_WORDS } from "../image/content_name.ts";

/**
 * What the side file keeps of each slot, 16 words of 32 bits in the machine's own order, at 16 times
 * its number:
 *
 * ```
 *  0  name, 8 words
 *  8  write number, low word, high word; 0: the slot is free
 * 10  owners, 4 of 16 bits, 0 for none
 * 12  1 memory, 2 disk
 * 13  0
 * 14  sum over all before and the slot's number, 2 words
 * ```
 *
 * Written in place: a torn record, or one at the wrong place, has a wrong sum and is a free slot.
 */
export const RECORD_WORDS = 16;
export const RECORD_BYTES = 4 * RECORD_WORDS;
/** Peers that one content remembers as its senders. */
export const OWNERS_MAX = 4;

const NUMBER_AT = NAME_WORDS;
const OWNERS_AT = NUMBER_AT + 2;
const ORIGIN_AT = OWNERS_AT + 2;
const SUM_AT = 14;

export const MEMORY = 1;
export const DISK = 2;
/** What a content was part of when it came first. */
export type Origin = typeof MEMORY | typeof DISK;

export interface SlotRecord {
  readonly name: Uint32Array;
  readonly writeNumber: number;
  /** `OWNERS_MAX` numbers of peers. */
  readonly owners: Uint16Array;
  readonly origin: Origin;
}

/** Writes a record of `RECORD_WORDS`; null: the slot is free. */
export function putRecord(record: SlotRecord | null, slot: number, into: Uint32Array): void {
  into.fill(0);
  if (record === null) return;
  const { name, writeNumber, owners, origin } = record;
  into.set(name);
  into[NUMBER_AT] = writeNumber;
  into[NUMBER_AT + 1] = Math.floor(writeNumber / 2 ** 32);
  into[OWNERS_AT] = owners[0] | owners[1] << 16;
  into[OWNERS_AT + 1] = owners[2] | owners[3] << 16;
  into[ORIGIN_AT] = origin;
  putSum(into, slot, into, SUM_AT);
}

/**
 * The record of a slot; null when it is free or damaged.
 *
 * @param words `RECORD_WORDS`; the name is a view of them
 */
export function getRecord(words: Uint32Array, slot: number): SlotRecord | null {
  putSum(words, slot, SUM, 0);
  if (words[SUM_AT] !== SUM[0] || words[SUM_AT + 1] !== SUM[1]) return null;
  const writeNumber = words[NUMBER_AT + 1] * 2 ** 32 + words[NUMBER_AT];
  const origin = words[ORIGIN_AT];
  if (!Number.isSafeInteger(writeNumber) || writeNumber < 1) return null;
  if (origin !== MEMORY && origin !== DISK) return null;
  const [low, high] = [words[OWNERS_AT], words[OWNERS_AT + 1]];
  const owners = Uint16Array.of(low, low >>> 16, high, high >>> 16);
  return { name: words.subarray(0, NAME_WORDS), writeNumber, owners, origin };
}

const SUM = new Uint32Array(2);

/** Finds accidents, not forgers: who can write the site's files needs no store to read its guests. */
function putSum(words: Uint32Array, slot: number, into: Uint32Array, at: number): void {
  let low = 0x9e3779b1 ^ slot;
  let high = 0x85ebca77;
  for (let i = 0; i < SUM_AT; i++) {
    const word = words[i];
    low = Math.imul((low << 13 | low >>> 19) ^ word, 0xc2b2ae3d);
    high = Math.imul((high << 7 | high >>> 25) + low ^ word, 0x27d4eb2f);
  }
  into[at] = low;
  into[at + 1] = high;
}
