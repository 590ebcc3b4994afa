import { Buffer } from "node:buffer";
import { DIGEST_WORDS, digestPage } from "./page_digest.ts";

/** One digest stands for so much of a disk: QEMU's usual cluster, and one bit of its bitmaps. */
export const BLOCK_BYTES = 65_536;
/** Parts of a block that travel apart: what file systems write at once. */
export const UNIT_BYTES = 4096;
export const UNITS_PER_BLOCK = BLOCK_BYTES / UNIT_BYTES;
/** Words of the digests of all units of a block. */
export const UNIT_WORDS = UNITS_PER_BLOCK * DIGEST_WORDS;

const ZEROES = Buffer.alloc(BLOCK_BYTES);

/** What is known of a block's content after looking at all of it. */
export interface BlockDigest {
  readonly isZero: boolean;
  /** Four words; of no meaning for a block of zeroes. */
  readonly digest: Uint32Array;
  /** Four words for each unit. Those of a unit of zeroes are 0, which no content is known to have. */
  readonly units: Uint32Array;
}

/**
 * True where every byte of the range is 0. A first byte that is not says so at once, then native
 * memcmp does. The range is a view of its own: this runtime checks the end of the other buffer's
 * range against the length of this one.
 */
export function isZeroRange(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at += BLOCK_BYTES) {
    if (bytes[at] !== 0) return false;
    const end = Math.min(to, at + BLOCK_BYTES);
    const part = bytes.subarray(at, end);
    if (ZEROES.compare(part, 0, part.byteLength, 0, part.byteLength) !== 0) return false;
  }
  return true;
}

/**
 * The digest of a block: SHA-256, cut to 128 bits, of its units' digests back to back. These are
 * SHA-256 cut to 128 bits as well, or 16 zero bytes for a unit of zeroes. One pass so gives the
 * digests of the block and of its parts; hashing both on their own would take 1.7 times as long.
 *
 * @param bytes holds the block from `at` on; the last one of a disk may be shorter than the others
 * @returns words of its own
 */
export function digestBlock(bytes: Uint8Array, at: number, lengthBytes: number): BlockDigest {
  const units = new Uint32Array(UNIT_WORDS);
  const digest = new Uint32Array(DIGEST_WORDS);
  if (isZeroRange(bytes, at, at + lengthBytes)) return { isZero: true, digest, units };
  for (let unit = 0; unit * UNIT_BYTES < lengthBytes; unit++) {
    const from = at + unit * UNIT_BYTES;
    const to = Math.min(from + UNIT_BYTES, at + lengthBytes);
    if (!isZeroRange(bytes, from, to)) {
      digestPage(bytes.subarray(from, to), units, unit * DIGEST_WORDS);
    }
  }
  digestPage(bigEndian(units), digest);
  return { isZero: false, digest, units };
}

/** True where the digests of one unit are those of zeroes. */
export function isZeroUnit(units: Uint32Array, unit: number): boolean {
  const at = unit * DIGEST_WORDS;
  return units[at] === 0 && units[at + 1] === 0 && units[at + 2] === 0 && units[at + 3] === 0;
}

/** True where both blocks have the same content in this unit. */
export function sameUnit(one: Uint32Array, other: Uint32Array, unit: number): boolean {
  for (let at = unit * DIGEST_WORDS; at < (unit + 1) * DIGEST_WORDS; at++) {
    if (one[at] !== other[at]) return false;
  }
  return true;
}

/** Digests as bytes in the order in which SHA-256 gives them, whatever order this machine has. */
function bigEndian(words: Uint32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(words.byteLength));
  for (let word = 0; word < words.length; word++) view.setUint32(4 * word, words[word]);
  return new Uint8Array(view.buffer);
}
