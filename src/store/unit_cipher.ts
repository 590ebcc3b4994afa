import { Buffer } from "node:buffer";
import { createCipheriv } from "node:crypto";
import { UNIT_BYTES } from "../image/content_name.ts";

export const KEY_BYTES = 32;
/** Units encrypted under one nonce; the cipher counts blocks of 64 bytes in 32 bits. */
const UNITS_OF_NONCE = 65_536;
const BLOCKS_OF_UNIT = UNIT_BYTES / 64;

/**
 * Encrypts and decrypts units, each under its own write number: ChaCha20 (RFC 8439), whose keystream
 * of a number is used for one content only. Not authenticated: every unit that is read is named again
 * and compared.
 */
export class UnitCipher {
  readonly #nonce = Buffer.alloc(16);

  /** @param key `KEY_BYTES` */
  constructor(private readonly key: Uint8Array) {}

  /**
   * The first number from `next` on from which `count` consecutive ones stay under one nonce, so that
   * one call encrypts them all.
   */
  static consecutive(next: number, count: number): number {
    const left = UNITS_OF_NONCE - next % UNITS_OF_NONCE;
    return left < count ? next + left : next;
  }

  /** @param units of consecutive numbers from `writeNumber` on, back to back */
  apply(writeNumber: number, units: Uint8Array): Uint8Array {
    const nonce = Math.floor(writeNumber / UNITS_OF_NONCE);
    this.#nonce.writeUInt32LE((writeNumber % UNITS_OF_NONCE) * BLOCKS_OF_UNIT, 0);
    this.#nonce.writeUInt32LE(nonce % 2 ** 32, 4);
    this.#nonce.writeUInt32LE(Math.floor(nonce / 2 ** 32), 8);
    return createCipheriv("chacha20", this.key, this.#nonce).update(units);
  }
}
