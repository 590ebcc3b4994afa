import { hash } from "node:crypto";
import { Buffer } from "node:buffer";

/** Pieces of content that are named: pages of memory, aligned blocks of disks. */
export const UNIT_BYTES = 4096;

/**
 * A content's name is its whole SHA-256, as eight words. What crosses machines and sites is decided
 * by nothing shorter: there the author of a collision would not be its only victim.
 */
export const NAME_WORDS = 8;
export const NAME_BYTES = 4 * NAME_WORDS;

const ZEROS = Buffer.alloc(UNIT_BYTES);

/** An empty name, to be used again and again. */
export function nameBuffer(): Uint32Array {
  return new Uint32Array(NAME_WORDS);
}

/** Names some content; the first words are those of `digestPage`. */
export function nameContent(content: Uint8Array, into: Uint32Array, at = 0): void {
  const text = hash("sha256", content, "hex");
  for (let word = 0; word < NAME_WORDS; word++) {
    let value = 0;
    for (let i = 8 * word; i < 8 * word + 8; i++) {
      const code = text.charCodeAt(i);
      value = (value << 4) | (code < 58 ? code - 48 : code - 87);
    }
    into[at + word] = value;
  }
}

/** True when `left` and the words of `right` from `at` on are one name. */
export function isSameName(left: Uint32Array, right: Uint32Array, at = 0): boolean {
  for (let word = 0; word < NAME_WORDS; word++) {
    if (left[word] !== right[at + word]) return false;
  }
  return true;
}

/** A name as the bytes of its SHA-256. */
export function putName(name: Uint32Array, into: Uint8Array, at = 0): void {
  for (let word = 0; word < NAME_WORDS; word++) {
    const value = name[word];
    into[at++] = value >>> 24;
    into[at++] = value >>> 16;
    into[at++] = value >>> 8;
    into[at++] = value;
  }
}

/** Undoes `putName`. */
export function getName(bytes: Uint8Array, at: number, into: Uint32Array): void {
  for (let word = 0; word < NAME_WORDS; word++, at += 4) {
    into[word] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  }
}

/**
 * The first 48 bits as a number: a hint that a content may be known, never a proof. Of 131 072
 * names known and as many looked for, one in 16 000 moves meets a false one.
 */
export function hintOf(name: Uint32Array, at = 0): number {
  return name[at] * 0x10000 + (name[at + 1] >>> 16);
}

/** A name as a key of a map. */
export function nameKey(name: Uint32Array): string {
  return String.fromCharCode(
    ...Array.from(
      { length: 2 * NAME_WORDS },
      (_, i) => (name[i >>> 1] >>> (16 * (i & 1))) & 0xffff,
    ),
  );
}

/** True for a unit that nobody needs to be told of. */
export function isZeroUnit(unit: Uint8Array): boolean {
  return ZEROS.equals(unit);
}
