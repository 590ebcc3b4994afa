import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { GatewayError } from "../core/errors.ts";
import { issueLeaf, KEY_ALGORITHM } from "./certificate.ts";
import { generationOf } from "./fingerprint.ts";
import type { SiteCertificate, SiteKey } from "./site_certificate.ts";

/**
 * Earlier generations whose names a certificate has. A peer that was away for more replacements than
 * this has to forget what it knew.
 */
export const GENERATIONS_NAMED_MAX = 32;

/**
 * Makes a link key: what a gateway proves its site by, in the place of the authority's own key, which
 * can be kept elsewhere then. A later generation makes all earlier ones worthless to peers that have
 * seen it.
 *
 * @param generation from 1 on
 * @returns one text with the certificate and the key, both in PEM
 */
export async function makeLinkKey(
  authority: SiteCertificate,
  authorityKey: CryptoKey,
  generation: number,
): Promise<string> {
  const first = Math.max(1, generation - GENERATIONS_NAMED_MAX + 1);
  const named = Array.from({ length: generation - first + 1 }, (_, at) => first + at);
  const { certificatePem, keyPem } = await issueLeaf(authority.pem, authorityKey, named);
  const [leaf] = x509.PemConverter.decodeWithHeaders(certificatePem);
  return `${x509.PemConverter.encode(leaf.rawData, "CERTIFICATE")}\n${keyPem}`;
}

/**
 * Reads the certificate of a link key and checks that the site's authority has issued it.
 *
 * @param leafDer as a peer sends it: anything
 * @param origin names the source in the error
 * @throws {GatewayError} `certificate_invalid`
 */
export async function readKeyCertificate(
  leafDer: Uint8Array,
  authority: SiteCertificate,
  origin: string,
): Promise<SiteKey> {
  try {
    const leaf = new x509.X509Certificate(leafDer.slice());
    const constraints = leaf.getExtension(x509.BasicConstraintsExtension);
    if (constraints?.ca !== false) throw new Error("it is of an authority, or says nothing of it");
    const publicKey = await leaf.publicKey.export(KEY_ALGORITHM, ["verify"]);
    const issued = await leaf.verify({ publicKey: authority.publicKey, signatureOnly: true });
    if (!issued) throw new Error("another site has issued it");
    const { items } = leaf.getExtension(x509.SubjectAlternativeNameExtension)!.names;
    const generations = items.map(({ value }) => generationOf(value, authority.fingerprint));
    return { publicKey, generation: Math.max(...generations.map((known) => known ?? 0)) };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GatewayError(
      "certificate_invalid",
      `Cannot use the key certificate of ${origin}: ${reason}`,
      { hint: "Make a new link key there with `causeway rotate-key`", cause },
    );
  }
}

/** The certificate in the text of a link key. @throws as `readKeyCertificate` */
export async function linkKeyOf(
  authority: SiteCertificate,
  text: string,
  path: string,
): Promise<{ leafDer: Uint8Array; leafPem: string; site: SiteKey }> {
  const leafPem = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/.exec(text)?.[0];
  if (leafPem === undefined) {
    throw new GatewayError("certificate_invalid", `Cannot use the key ${path}: no certificate`, {
      hint: "Make a new link key with `causeway rotate-key`",
    });
  }
  const leafDer = new Uint8Array(x509.PemConverter.decodeFirst(leafPem));
  return { leafDer, leafPem, site: await readKeyCertificate(leafDer, authority, path) };
}
