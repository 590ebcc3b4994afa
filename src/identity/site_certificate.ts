import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { GatewayError } from "../core/errors.ts";
import { KEY_ALGORITHM, SIGNATURE_ALGORITHM } from "./certificate.ts";
import { fingerprint } from "./fingerprint.ts";

/** Far above any certificate of ours; a wrong path must not fill the memory. */
export const CERTIFICATE_FILE_BYTES_MAX = 64 * 1024;

/** ECDSA P-256 signatures as r and s (IEEE P1363), so that every one has the same length. */
export const SIGNATURE_BYTES = 64;

/** The public half of a site's identity, checked. */
export interface SiteCertificate {
  readonly pem: string;
  readonly der: Uint8Array;
  readonly fingerprint: string;
  /** Name that the site gave itself; the operator's name for the peer may be another. */
  readonly site: string;
  readonly publicKey: CryptoKey;
}

/** A key that a site signs with. */
export interface SiteKey {
  readonly publicKey: CryptoKey;
  /** How often it was replaced; 0 is the authority's own. */
  readonly generation: number;
}

/**
 * Reads a site certificate and checks that it can serve as an identity.
 *
 * @param source PEM text, or DER bytes from a TLS handshake
 * @param origin names the source in the error, a path or an address
 * @throws {GatewayError} `certificate_invalid`
 */
export async function parseSiteCertificate(
  source: string | Uint8Array,
  origin: string,
): Promise<SiteCertificate> {
  try {
    const certificate = new x509.X509Certificate(source as string | Uint8Array<ArrayBuffer>);
    const der = new Uint8Array(certificate.rawData);
    const constraints = certificate.getExtension(x509.BasicConstraintsExtension);
    if (!constraints?.ca) throw new Error("it is not the certificate of an authority");
    return {
      pem: certificate.toString("pem") + "\n",
      der,
      fingerprint: fingerprint(der),
      site: certificate.subjectName.getField("CN")[0] ?? "",
      publicKey: await certificate.publicKey.export(KEY_ALGORITHM, ["verify"]),
    };
  } catch (cause) {
    throw new GatewayError(
      "certificate_invalid",
      `Cannot use the certificate of ${origin}: ${messageOf(cause)}`,
      { hint: "Give the site.crt that `init` wrote at that site (PEM, ECDSA P-256)", cause },
    );
  }
}

/** Reads a site certificate from a PEM file. @throws {GatewayError} `certificate_invalid` */
export async function readSiteCertificate(path: string): Promise<SiteCertificate> {
  let pem: string;
  try {
    const { size, isFile } = await Deno.stat(path);
    if (!isFile) throw new Error("it is not a file");
    if (size > CERTIFICATE_FILE_BYTES_MAX) {
      throw new Error(`it has ${size} bytes, allowed: up to ${CERTIFICATE_FILE_BYTES_MAX}`);
    }
    pem = await Deno.readTextFile(path);
  } catch (cause) {
    throw new GatewayError(
      "certificate_invalid",
      `Cannot read the certificate ${path}: ${messageOf(cause)}`,
      { hint: "Check the path and its permissions", cause },
    );
  }
  return await parseSiteCertificate(pem, path);
}

/** True when `signature` is by this key over exactly `signed`. */
export async function verifySignature(
  by: Pick<SiteKey, "publicKey">,
  signed: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  if (signature.length !== SIGNATURE_BYTES) return false;
  return await crypto.subtle.verify(SIGNATURE_ALGORITHM, by.publicKey, signature, signed);
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
