import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { join } from "node:path";
import { GatewayError } from "../core/errors.ts";
import { createAuthority } from "./certificate.ts";
import { fingerprint, fingerprintDigest, serverName } from "./fingerprint.ts";
import { parseSiteCertificate, readSiteCertificate, verifySignature } from "./site_certificate.ts";
import { loadIdentity } from "./site_identity.ts";

const WALL_MS = Date.UTC(2026, 0, 1);

async function writtenSite(dir: string, site: string) {
  const authority = await createAuthority(site, WALL_MS);
  const certificateFile = join(dir, `${site}.crt`);
  const keyFile = join(dir, `${site}.key`);
  await Deno.writeTextFile(certificateFile, authority.certificatePem);
  await Deno.writeTextFile(keyFile, authority.keyPem, { mode: 0o600 });
  return { certificateFile, keyFile, authority };
}

async function inDirectory(body: (dir: string) => Promise<void>) {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

function code(expected: string, message: RegExp) {
  return (error: unknown) =>
    error instanceof GatewayError && error.code === expected && message.test(error.message);
}

Deno.test("fingerprint() is sha256 over the certificate's DER form, and names its server", async () => {
  const { certificatePem, fingerprint: given } = await createAuthority("a", WALL_MS);
  const der = new Uint8Array(new X509Certificate(certificatePem).raw);
  const hex = createHash("sha256").update(der).digest("hex");
  assert.equal(fingerprint(der), `sha256:${hex}`);
  assert.equal(given, `sha256:${hex}`);
  assert.equal(serverName(given), `${hex.slice(0, 32)}.invalid`);
  assert.equal(fingerprintDigest(given).toHex(), hex);
  assert.throws(() => fingerprintDigest(hex), TypeError);
});

Deno.test("issueLeaf() makes a certificate of the site that is no authority itself", () =>
  inDirectory(async (dir) => {
    const identity = await loadIdentity(await writtenSite(dir, "a"));
    const [leafPem] = (await identity.issueLeaf()).certificatePem.split(/(?<=-----END.*\n)/);
    const leaf = new X509Certificate(leafPem);
    const authority = new X509Certificate(identity.certificate.pem);
    assert.equal(leaf.ca, false);
    assert.equal(leaf.verify(authority.publicKey), true);
    assert.equal(leaf.subjectAltName, `DNS:${serverName(identity.certificate.fingerprint)}`);
    assert.ok(leaf.validToDate.getTime() >= authority.validToDate.getTime());
    await assert.rejects(
      parseSiteCertificate(leafPem, "leaf"),
      code("certificate_invalid", /not the certificate of an authority/),
    );
  }));

Deno.test("a signature is accepted for its bytes and its site only", () =>
  inDirectory(async (dir) => {
    const a = await loadIdentity(await writtenSite(dir, "a"));
    const b = await loadIdentity(await writtenSite(dir, "b"));
    const bytes = new Uint8Array([1, 2, 3]);
    const signature = await a.sign(bytes);
    assert.equal(await verifySignature(a.certificate, bytes, signature), true);
    assert.equal(await verifySignature(b.certificate, bytes, signature), false);
    assert.equal(await verifySignature(a.certificate, new Uint8Array([1, 2]), signature), false);
    assert.equal(await verifySignature(a.certificate, bytes, signature.slice(1)), false);
  }));

Deno.test("loadIdentity() refuses a key of another site and a key that others can read", () =>
  inDirectory(async (dir) => {
    const a = await writtenSite(dir, "a");
    const b = await writtenSite(dir, "b");
    await assert.rejects(
      loadIdentity({ certificateFile: a.certificateFile, keyFile: b.keyFile }),
      code("certificate_invalid", /b\.key: it does not belong to .*a\.crt/),
    );
    await Deno.chmod(a.keyFile, 0o640);
    await assert.rejects(loadIdentity(a), code("certificate_invalid", /mode is 0640/));
    await Deno.writeTextFile(b.keyFile, "garbage");
    await assert.rejects(loadIdentity(b), code("certificate_invalid", /b\.key/));
  }));

Deno.test("readSiteCertificate() refuses what is missing, garbage or too large, by path", () =>
  inDirectory(async (dir) => {
    const path = join(dir, "x.crt");
    await assert.rejects(readSiteCertificate(path), code("certificate_invalid", /x\.crt/));
    await Deno.writeTextFile(path, "garbage");
    await assert.rejects(readSiteCertificate(path), code("certificate_invalid", /x\.crt/));
    await Deno.writeTextFile(path, "A".repeat(65_537));
    await assert.rejects(readSiteCertificate(path), code("certificate_invalid", /65537 bytes/));
    await assert.rejects(readSiteCertificate(dir), code("certificate_invalid", /not a file/));
  }));
