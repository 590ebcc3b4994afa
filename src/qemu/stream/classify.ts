import { FILE_MAGIC, FILE_VERSION, MULTIFD_MAGIC } from "./format.ts";

/** First bytes that are enough to tell any connection. */
export const CLASSIFY_BYTES = 8;

/**
 * What a connection that QEMU opened carries.
 *
 * - `main`: a migration stream from its beginning, for `createStreamReader`
 * - `multifd`: an extra data channel
 * - `recovery`: the main channel of a post-copy that resumes; only where one is awaited, for the
 *   byte 0x08 means nothing elsewhere
 * - `tls`: encrypted by QEMU itself
 * - `other`: none of these, for example a preempt channel, which begins with a bare memory record
 *
 * All but `main` are relayed verbatim, one to one.
 */
export type ConnectionKind = "main" | "multifd" | "recovery" | "tls" | "other";

/**
 * Tells a connection by its first bytes; null while they fit several kinds.
 *
 * @param bytes all bytes received so far; more than `CLASSIFY_BYTES` never change the answer
 */
export function classifyConnection(
  bytes: Uint8Array,
  awaited: { readonly recovery?: boolean } = {},
): ConnectionKind | null {
  if (bytes.length === 0) return null;
  let couldBeMore = false;
  for (const [kind, prefix] of PREFIXES) {
    if (kind === "recovery" && !awaited.recovery) continue;
    const known = Math.min(prefix.length, bytes.length);
    if (!prefix.subarray(0, known).every((byte, i) => byte === bytes[i])) continue;
    if (known === prefix.length) return kind;
    couldBeMore = true;
  }
  return couldBeMore ? null : "other";
}

const PREFIXES: readonly (readonly [ConnectionKind, Uint8Array])[] = [
  ["main", words(FILE_MAGIC, FILE_VERSION)],
  ["multifd", words(MULTIFD_MAGIC)],
  // A TLS handshake record of any version: 0x16, major version 3.
  ["tls", Uint8Array.of(0x16, 0x03)],
  // A resumed main channel begins with a command (RECV_BITMAP), without a file header.
  ["recovery", Uint8Array.of(0x08)],
];

function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(4 * values.length);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setUint32(4 * index, value));
  return bytes;
}
