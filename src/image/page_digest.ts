import { hash } from "node:crypto";

/** Words of a digest: SHA-256 cut to 128 bits. */
export const DIGEST_WORDS = 4;

/**
 * SHA-256 of some bytes, its first 128 bits as words. Hexadecimal on the way: a Buffer for each
 * digest costs more than reading the text.
 */
export function digestPage(bytes: Uint8Array, into: Uint32Array, at = 0): void {
  const text = hash("sha256", bytes, "hex");
  for (let word = 0; word < DIGEST_WORDS; word++) {
    let value = 0;
    for (let i = 8 * word; i < 8 * word + 8; i++) {
      const code = text.charCodeAt(i);
      value = (value << 4) | (code < 58 ? code - 48 : code - 87);
    }
    into[at + word] = value;
  }
}
