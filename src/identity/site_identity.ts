import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { GatewayError } from "../core/errors.ts";
import { issueLeaf, KEY_ALGORITHM, type PemPair, SIGNATURE_ALGORITHM } from "./certificate.ts";
import { readSiteCertificate, type SiteCertificate, verifySignature } from "./site_certificate.ts";

/** A site's identity with its key: it can sign, and issue what the listeners show. */
export interface SiteIdentity {
  readonly certificate: SiteCertificate;
  sign(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
  /** A fresh leaf for the QUIC and TLS listeners; it lives in memory only and never expires early. */
  issueLeaf(): Promise<PemPair>;
}

/**
 * Loads what `init` wrote and checks that key and certificate belong together.
 *
 * @throws {GatewayError} `certificate_invalid`, also when others can read the key
 */
export async function loadIdentity(
  files: { certificateFile: string; keyFile: string },
): Promise<SiteIdentity> {
  const certificate = await readSiteCertificate(files.certificateFile);
  const key = await readKey(files.keyFile);
  const sign = async (bytes: Uint8Array<ArrayBuffer>) =>
    new Uint8Array(await crypto.subtle.sign(SIGNATURE_ALGORITHM, key, bytes));
  const challenge = new TextEncoder().encode("causeway: does the key fit");
  const signature = await sign(challenge).catch((cause) => {
    // Some damaged keys are taken until they are used.
    throw invalidKey(files.keyFile, cause instanceof Error ? cause.message : String(cause), cause);
  });
  if (!await verifySignature(certificate, challenge, signature)) {
    throw invalidKey(files.keyFile, `it does not belong to ${files.certificateFile}`);
  }
  return { certificate, sign, issueLeaf: () => issueLeaf(certificate.pem, key) };
}

async function readKey(path: string): Promise<CryptoKey> {
  try {
    const { mode } = await Deno.stat(path);
    if (mode !== null && (mode & 0o077) !== 0) {
      throw new Error(`its mode is 0${(mode & 0o777).toString(8)}, allowed: 0600`);
    }
    const der = x509.PemConverter.decodeFirst(await Deno.readTextFile(path));
    return await crypto.subtle.importKey("pkcs8", der, KEY_ALGORITHM, false, ["sign"]);
  } catch (cause) {
    throw invalidKey(path, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function invalidKey(path: string, reason: string, cause?: unknown): GatewayError {
  return new GatewayError("certificate_invalid", `Cannot use the key ${path}: ${reason}`, {
    hint: "Restore site.key beside its site.crt, readable by the gateway's user only",
    cause,
  });
}
