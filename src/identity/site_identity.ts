import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { GatewayError } from "../core/errors.ts";
import { issueLeaf, KEY_ALGORITHM, type PemPair, SIGNATURE_ALGORITHM } from "./certificate.ts";
import { linkKeyOf } from "./link_key.ts";
import {
  readSiteCertificate,
  type SiteCertificate,
  type SiteKey,
  verifySignature,
} from "./site_certificate.ts";

/** A site's identity with a key: it can sign, and has what the listeners show. */
export interface SiteIdentity {
  readonly certificate: SiteCertificate;
  /** Certificate of the key that signs, DER; null where it is the authority's own. */
  readonly keyCertificate: Uint8Array | null;
  /** Of the link key; 0 without one. */
  readonly generation: number;
  sign(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /**
   * What the QUIC and TLS listeners show: the link key with its certificate, or where there is none a
   * fresh leaf that lives in memory only. Neither expires before the authority.
   */
  issueLeaf(): Promise<PemPair>;
}

/** Where an identity is kept. */
export interface IdentityFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Made by `rotate-key`; where the file exists, `keyFile` is not looked at. */
  readonly linkKeyFile?: string;
}

/**
 * Loads a site's identity and checks that its key and certificates belong together.
 *
 * @throws {GatewayError} `certificate_invalid`, also when others can read the key
 */
export async function loadIdentity(files: IdentityFiles): Promise<SiteIdentity> {
  const certificate = await readSiteCertificate(files.certificateFile);
  const linkKeyPem = await readLinkKey(files.linkKeyFile);
  if (linkKeyPem !== null) {
    const path = files.linkKeyFile!;
    const { leafDer, leafPem, site } = await linkKeyOf(certificate, linkKeyPem, path);
    const key = await importKey(linkKeyPem, path);
    const sign = signer(key);
    await requireFit(site, sign, path, "its certificate");
    const shown = {
      certificatePem: `${leafPem}\n${certificate.pem}`,
      keyPem: keyPemOf(linkKeyPem),
    };
    return {
      certificate,
      keyCertificate: leafDer,
      generation: site.generation,
      sign,
      issueLeaf: () => Promise.resolve(shown),
    };
  }
  const key = await readAuthorityKey(files.keyFile);
  const sign = signer(key);
  const site = { publicKey: certificate.publicKey, generation: 0 };
  await requireFit(site, sign, files.keyFile, files.certificateFile);
  return {
    certificate,
    keyCertificate: null,
    generation: 0,
    sign,
    issueLeaf: () => issueLeaf(certificate.pem, key),
  };
}

/** Reads a key that only the user may read. @throws {GatewayError} `certificate_invalid` */
export async function readAuthorityKey(path: string): Promise<CryptoKey> {
  return await importKey(await readSecret(path), path);
}

function signer(key: CryptoKey): SiteIdentity["sign"] {
  return async (bytes) => new Uint8Array(await crypto.subtle.sign(SIGNATURE_ALGORITHM, key, bytes));
}

async function requireFit(
  key: SiteKey,
  sign: SiteIdentity["sign"],
  path: string,
  certificate: string,
): Promise<void> {
  const challenge = new TextEncoder().encode("causeway: does the key fit");
  const signature = await sign(challenge).catch((cause) => {
    // Some damaged keys are taken until they are used.
    throw invalidKey(path, "it cannot sign", cause);
  });
  if (await verifySignature(key, challenge, signature)) return;
  throw invalidKey(path, `it does not belong to ${certificate}`);
}

async function readLinkKey(path: string | undefined): Promise<string | null> {
  if (path === undefined) return null;
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
  }
  return await readSecret(path);
}

async function readSecret(path: string): Promise<string> {
  try {
    const { mode } = await Deno.stat(path);
    if (mode !== null && (mode & 0o077) !== 0) {
      throw new Error(`its mode is 0${(mode & 0o777).toString(8)}, allowed: 0600`);
    }
    return await Deno.readTextFile(path);
  } catch (cause) {
    throw invalidKey(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

async function importKey(pem: string, path: string): Promise<CryptoKey> {
  try {
    const der = x509.PemConverter.decodeFirst(keyPemOf(pem));
    return await crypto.subtle.importKey("pkcs8", der, KEY_ALGORITHM, false, ["sign"]);
  } catch (cause) {
    // What the parser says may quote what it has read.
    throw invalidKey(path, "it holds no key of ECDSA P-256 in PEM (PKCS 8)", cause);
  }
}

/** The private key of a file that may hold certificates as well. */
function keyPemOf(pem: string): string {
  return /-----BEGIN PRIVATE KEY-----[^-]*-----END PRIVATE KEY-----\n?/.exec(pem)?.[0] ?? "";
}

function invalidKey(path: string, reason: string, cause?: unknown): GatewayError {
  return new GatewayError("certificate_invalid", `Cannot use the key ${path}: ${reason}`, {
    hint: "Restore it beside its site.crt, readable by the gateway's user only",
    cause,
  });
}
