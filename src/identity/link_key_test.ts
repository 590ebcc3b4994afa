import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { GatewayError } from "../core/errors.ts";
import { createAuthority } from "./certificate.ts";
import { generationOf, serverName } from "./fingerprint.ts";
import { GENERATIONS_NAMED_MAX, makeLinkKey, readKeyCertificate } from "./link_key.ts";
import { parseSiteCertificate, verifySignature } from "./site_certificate.ts";
import { loadIdentity, readAuthorityKey } from "./site_identity.ts";

/** As long as a proof may bring along (`src/wire/handshake.ts`). */
const CERTIFICATE_BYTES_MAX = 3072;

async function inDirectory(body: (dir: string) => Promise<void>) {
  const dir = await Deno.makeTempDir();
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function site(dir: string, name: string) {
  const made = await createAuthority(name, Date.UTC(2026, 0, 1));
  const certificateFile = join(dir, `${name}.crt`);
  const keyFile = join(dir, `${name}.key`);
  const linkKeyFile = join(dir, `${name}.pem`);
  await Deno.writeTextFile(certificateFile, made.certificatePem);
  await Deno.writeTextFile(keyFile, made.keyPem, { mode: 0o600 });
  const certificate = await parseSiteCertificate(made.certificatePem, name);
  const key = await readAuthorityKey(keyFile);
  const rotate = async (generation: number) => {
    const text = await makeLinkKey(certificate, key, generation);
    await Deno.remove(linkKeyFile).catch(() => {});
    await Deno.writeTextFile(linkKeyFile, text, { mode: 0o600 });
    return text;
  };
  return { certificate, key, rotate, files: { certificateFile, keyFile, linkKeyFile } };
}

function refused(part: RegExp) {
  return (error: unknown) =>
    error instanceof GatewayError && error.code === "certificate_invalid" &&
    part.test(error.message);
}

Deno.test("a site signs with its link key once it has one, and needs its authority's no more", () =>
  inDirectory(async (dir) => {
    const a = await site(dir, "a");
    const before = await loadIdentity(a.files);
    assert.equal(before.generation, 0);
    assert.equal(before.keyCertificate, null);
    await a.rotate(1);
    await Deno.remove(a.files.keyFile);
    const identity = await loadIdentity(a.files);
    assert.equal(identity.generation, 1);
    assert.equal(identity.certificate.fingerprint, before.certificate.fingerprint);
    const bytes = new Uint8Array([1, 2, 3]);
    const signature = await identity.sign(bytes);
    const key = await readKeyCertificate(identity.keyCertificate!, a.certificate, "a");
    assert.equal(key.generation, 1);
    assert.equal(await verifySignature(key, bytes, signature), true);
    assert.equal(await verifySignature(a.certificate, bytes, signature), false);
    const [leafPem] = (await identity.issueLeaf()).certificatePem.split(/(?<=-----END.*\n)/);
    assert.deepEqual(new Uint8Array(new X509Certificate(leafPem).raw), identity.keyCertificate);
  }));

Deno.test("a certificate has the names of its generation and of earlier ones, within its length", () =>
  inDirectory(async (dir) => {
    const a = await site(dir, "a");
    const { fingerprint } = a.certificate;
    for (const generation of [1, 2, GENERATIONS_NAMED_MAX + 5, 999_999_999]) {
      await a.rotate(generation);
      const { keyCertificate } = await loadIdentity(a.files);
      assert.ok(keyCertificate!.length <= CERTIFICATE_BYTES_MAX, `${keyCertificate!.length} bytes`);
      const leaf = new X509Certificate(keyCertificate!);
      const first = Math.max(1, generation - GENERATIONS_NAMED_MAX + 1);
      assert.ok(leaf.checkHost(serverName(fingerprint)));
      for (const good of [first, generation]) {
        assert.ok(leaf.checkHost(serverName(fingerprint, good)), `${generation}: ${good}`);
      }
      assert.equal(leaf.checkHost(serverName(fingerprint, generation + 1)), undefined);
      const key = await readKeyCertificate(keyCertificate!, a.certificate, "a");
      assert.equal(key.generation, generation);
    }
  }));

Deno.test("generationOf() reads what serverName() writes for a site, and nothing else", () => {
  const [one, other] = ["1", "2"].map((digit) => `sha256:${digit.repeat(64)}`);
  for (const generation of [0, 1, 40, 999_999_999]) {
    assert.equal(generationOf(serverName(one, generation), one), generation);
    assert.equal(generationOf(serverName(one, generation), other), null);
  }
  for (const name of ["g0.", "g01.", "g-1.", "g1e3.", "G1.", "gg1."]) {
    assert.equal(generationOf(name + serverName(one), one), null, name);
  }
});

Deno.test("a certificate of another site, of an authority, or none is no link key", () =>
  inDirectory(async (dir) => {
    const a = await site(dir, "a");
    const b = await site(dir, "b");
    await b.rotate(7);
    const ofB = (await loadIdentity(b.files)).keyCertificate!;
    const read = (der: Uint8Array) => readKeyCertificate(der, a.certificate, "a");
    await assert.rejects(read(ofB), refused(/of a: another site has issued it/));
    await assert.rejects(read(a.certificate.der), refused(/of an authority/));
    await assert.rejects(read(new Uint8Array([48, 0])), refused(/key certificate of a/));
    await assert.rejects(read(new Uint8Array(0)), refused(/key certificate of a/));
    // An authority that names itself as a: the name is no proof.
    const twin = await createAuthority("a", Date.UTC(2026, 0, 1));
    const twinCertificate = await parseSiteCertificate(twin.certificatePem, "twin");
    await Deno.writeTextFile(`${dir}/twin.key`, twin.keyPem, { mode: 0o600 });
    const twinKey = await readAuthorityKey(`${dir}/twin.key`);
    const text = await makeLinkKey(twinCertificate, twinKey, 9);
    const der = new Uint8Array(new X509Certificate(text).raw);
    await assert.rejects(read(der), refused(/another site has issued it/));
  }));

Deno.test("a link key is refused that others can read, that is damaged, or of another site", () =>
  inDirectory(async (dir) => {
    const a = await site(dir, "a");
    const b = await site(dir, "b");
    const text = await a.rotate(1);
    const { linkKeyFile } = a.files;
    await Deno.chmod(linkKeyFile, 0o640);
    await assert.rejects(loadIdentity(a.files), refused(/a\.pem: its mode is 0640/));
    await Deno.chmod(linkKeyFile, 0o600);
    const [certificate, key] = text.split(/(?<=-----END CERTIFICATE-----\n)/);
    const foreign = (await b.rotate(1)).split(/(?<=-----END CERTIFICATE-----\n)/);
    const cases: [string, RegExp][] = [
      ["garbage", /no certificate/],
      [certificate, /holds no key/],
      [key, /no certificate/],
      [certificate + foreign[1], /does not belong to its certificate/],
      [foreign[0] + foreign[1], /another site has issued it/],
    ];
    for (const [content, message] of cases) {
      await Deno.writeTextFile(linkKeyFile, content);
      await assert.rejects(loadIdentity(a.files), (error) => {
        assert.ok(refused(message)(error), String(error));
        assert.ok(!String(error).includes(key.split("\n")[1]), "the key is not told");
        return true;
      });
    }
  }));
