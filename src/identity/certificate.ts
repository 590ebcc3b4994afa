import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { fingerprint, serverName } from "./fingerprint.ts";

/** P-256, because rustls (QUIC), OpenSSL (TLS) and WebCrypto all take it. */
export const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
export const SIGNATURE_ALGORITHM = { ...KEY_ALGORITHM, hash: "SHA-256" };

const DAY_MS = 86_400_000;
/** A site's identity is replaced by decision, never by the calendar. */
const VALIDITY_MS = 30 * 365 * DAY_MS;
/** The peer's clock may be behind ours by this much. */
const BACKDATE_MS = 2 * DAY_MS;

/** Certificate and key in PEM. */
export interface PemPair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** Makes a site's own small certificate authority. Its key also signs the handshake. */
export async function createAuthority(
  site: string,
  wallMs: number,
): Promise<PemPair & { fingerprint: string }> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [site] }],
    notBefore: new Date(wallMs - BACKDATE_MS),
    notAfter: new Date(wallMs + VALIDITY_MS),
    keys,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      // Path length 0: it issues leaves only.
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certificatePem: certificate.toString("pem") + "\n",
    keyPem: await exportKey(keys.privateKey),
    fingerprint: fingerprint(new Uint8Array(certificate.rawData)),
  };
}

/**
 * Issues the certificate that the gateway's QUIC and TLS listeners show, valid as long as the
 * authority. It is no authority itself: a leaf that is one could vouch for others.
 *
 * @param generations that it has the names of, beside the one that every leaf has
 * @returns leaf and authority, in this order, and the leaf's key
 */
export async function issueLeaf(
  authorityPem: string,
  authorityKey: CryptoKey,
  generations: readonly number[] = [],
): Promise<PemPair> {
  const authority = new x509.X509Certificate(authorityPem);
  const site = fingerprint(new Uint8Array(authority.rawData));
  const [name, ...others] = [0, ...generations].map((generation) => serverName(site, generation));
  const keys = await generateKeys();
  const leaf = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    subject: [{ CN: [name] }],
    issuer: authority.subject,
    notBefore: authority.notBefore,
    notAfter: authority.notAfter,
    publicKey: keys.publicKey,
    signingKey: authorityKey,
    signingAlgorithm: SIGNATURE_ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.serverAuth,
        x509.ExtendedKeyUsage.clientAuth,
      ]),
      new x509.SubjectAlternativeNameExtension(
        [name, ...others].map((value) => ({ type: "dns" as const, value })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(authority.publicKey),
    ],
  });
  return {
    certificatePem: `${leaf.toString("pem")}\n${authority.toString("pem")}\n`,
    keyPem: await exportKey(keys.privateKey),
  };
}

/**
 * True when the leaf was issued by this authority: its signature is the authority's. What else a
 * leaf says is of no interest, its holder proves itself to TLS.
 *
 * @param leafDer from a TLS connection; anything but a certificate is false
 */
export function isIssuedBy(leafDer: Uint8Array, authorityPem: string): boolean {
  try {
    const [leaf, authority] = [new X509Certificate(leafDer), new X509Certificate(authorityPem)];
    return leaf.checkIssued(authority) && leaf.verify(authority.publicKey);
  } catch {
    return false;
  }
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
}

async function exportKey(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", key), "PRIVATE KEY") +
    "\n";
}

/** 127 random bits: positive, as RFC 5280 section 4.1.2.2 asks. */
function serialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = bytes[0] & 0x7f | 0x40;
  return bytes.toHex();
}
