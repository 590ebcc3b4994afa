import { createHash } from "node:crypto";

/** Random bits of a token: far beyond guessing, so its digest needs no salt and no slow hash. */
export const TOKEN_BITS = 256;

/** A new token as text: 43 characters of base64url. */
export function newToken(): string {
  return crypto.getRandomValues(new Uint8Array(TOKEN_BITS / 8))
    .toBase64({ alphabet: "base64url", omitPadding: true });
}

/** SHA-256 of a token's text. */
export function tokenDigest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
