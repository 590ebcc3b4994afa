import { createHash } from "node:crypto";

/** `sha256:` and 64 hex digits: how a site's certificate is named to people and in files. */
export const FINGERPRINT_PATTERN = /^sha256:[0-9a-f]{64}$/;

/** Name of a certificate: SHA-256 over its DER form. */
export function fingerprint(certificateDer: Uint8Array): string {
  return `sha256:${createHash("sha256").update(certificateDer).digest("hex")}`;
}

/** The 32 bytes behind a fingerprint. */
export function fingerprintDigest(text: string): Uint8Array {
  if (!FINGERPRINT_PATTERN.test(text)) {
    throw new TypeError(`A fingerprint is sha256: and 64 hex digits, got ${text}`);
  }
  return Uint8Array.fromHex(text.slice("sha256:".length));
}

/**
 * Name that a site's leaf certificates are valid for. It cannot resolve (RFC 6761, section 6.4) and
 * no public authority issues it, so the runtime's default roots vouch for nobody here.
 */
export function serverName(siteFingerprint: string): string {
  return `${siteFingerprint.slice("sha256:".length, "sha256:".length + 32)}.invalid`;
}
