import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { KEY_BYTES } from "./unit_cipher.ts";

/** Peers that a store remembers by number; records have 16 bits for them. */
export const PEERS_MAX = 4096;
/** A key file is refused beyond this: all peers and their fingerprints take less. */
const FILE_BYTES_MAX = 1024 * 1024;
const FINGERPRINT_CHARS_MAX = 128;

/** What a store has to know of itself to be read again. */
export interface StoreKey {
  readonly key: Uint8Array;
  /** Every write number that was ever used is below. */
  numbersLeased: number;
  /** Fingerprints; an owner's number is its place here plus 1. */
  readonly peers: string[];
}

/** A key for a store that begins empty. */
export function newStoreKey(): StoreKey {
  return { key: randomBytes(KEY_BYTES), numbersLeased: 1, peers: [] };
}

/** Reads the key file; null when there is none that can be used: then nothing of the store can be. */
export function readStoreKey(path: string): StoreKey | null {
  try {
    if (statSync(path).size > FILE_BYTES_MAX) return null;
    const { version, key, numbersLeased, peers } = JSON.parse(readFileSync(path, "utf8"));
    const bytes = new Uint8Array(Buffer.from(String(key), "hex"));
    const isValid = version === 1 && bytes.byteLength === KEY_BYTES &&
      Number.isSafeInteger(numbersLeased) && numbersLeased > 0 &&
      Array.isArray(peers) && peers.length <= PEERS_MAX &&
      peers.every((peer) => typeof peer === "string" && peer.length <= FINGERPRINT_CHARS_MAX);
    return isValid ? { key: bytes, numbersLeased, peers } : null;
  } catch {
    return null;
  }
}

/**
 * Replaces the key file, durably and as a whole: a number counts as used from here on, whatever
 * crashes. Only its owner may read it.
 */
export function writeStoreKey(path: string, { key, numbersLeased, peers }: StoreKey): void {
  const text = JSON.stringify({
    version: 1,
    key: Buffer.from(key).toString("hex"),
    numbersLeased,
    peers,
  });
  const fresh = `${path}.new`;
  const file = openSync(fresh, "w", 0o600);
  try {
    writeSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(fresh, path);
  // The name as well: an older file that comes back would give its numbers out again.
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
