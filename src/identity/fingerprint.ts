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
 *
 * @param generation of the link key: a leaf has the names of its own and of earlier ones, so that
 *   whoever asks for it by a generation gets none that is older; 0 fits every leaf
 */
export function serverName(siteFingerprint: string, generation = 0): string {
  const site = siteFingerprint.slice("sha256:".length, "sha256:".length + 32);
  return generation === 0 ? `${site}.invalid` : `g${generation}.${site}.invalid`;
}

/** The generation that a name stands for; null for one that is not of this site. */
export function generationOf(name: string, siteFingerprint: string): number | null {
  const generation = Number(/^g([1-9]\d{0,8})\./.exec(name)?.[1] ?? 0);
  return name === serverName(siteFingerprint, generation) ? generation : null;
}
