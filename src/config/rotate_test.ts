import assert from "node:assert/strict";
import { join } from "node:path";
import { GatewayError } from "../core/errors.ts";
import { loadIdentity } from "../identity/site_identity.ts";
import { loadConfig } from "./config.ts";
import { initSite } from "./init.ts";
import { loadPeers } from "./peers.ts";
import { prepareAuthority, rotateLinkKey, useAuthority } from "./rotate.ts";
import { trustPeer } from "./trust.ts";
import { untrustPeer } from "./untrust.ts";

function refused(code: string, ...parts: string[]) {
  return (error: unknown) =>
    error instanceof GatewayError && error.code === code && error.hint !== "" &&
    parts.every((part) => error.message.includes(part));
}

async function withSites(
  body: (sites: Record<"a" | "b" | "c", Awaited<ReturnType<typeof initSite>>>) => Promise<void>,
) {
  const dir = await Deno.makeTempDir();
  try {
    const make = (site: string) => initSite({ site, dir: join(dir, site) });
    await body({ a: await make("a"), b: await make("b"), c: await make("c") });
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

const identityOf = async (configPath: string) => await loadIdentity(await loadConfig(configPath));

Deno.test("rotateLinkKey() makes one generation after the other, in a file of the gateway's own", () =>
  withSites(async ({ a }) => {
    for (const generation of [1, 2]) {
      const made = await rotateLinkKey({ config: a.configPath });
      assert.deepEqual([made.generation, made.fingerprint], [generation, a.fingerprint]);
      assert.equal((await Deno.stat(made.linkKeyPath)).mode! & 0o777, 0o600);
      assert.equal((await identityOf(a.configPath)).generation, generation);
    }
    const later = await rotateLinkKey({ config: a.configPath, generation: 9 });
    assert.equal(later.generation, 9);
    for (const generation of [9, 0, 1_000_000_000]) {
      await assert.rejects(
        rotateLinkKey({ config: a.configPath, generation }),
        refused("request_invalid", `generation ${generation}`, "the present one is 9"),
      );
    }
    assert.equal((await identityOf(a.configPath)).generation, 9);
  }));

Deno.test("rotateLinkKey() takes the authority's key from where it is kept, and no other", () =>
  withSites(async ({ a, b }) => {
    const key = join(a.configPath, "../site.key");
    const kept = join(a.configPath, "../../kept.key");
    await Deno.rename(key, kept);
    await assert.rejects(
      rotateLinkKey({ config: a.configPath }),
      refused("certificate_invalid", "site.key"),
    );
    await assert.rejects(
      rotateLinkKey({
        config: a.configPath,
        authorityKeyFile: join(b.configPath, "../site.key"),
      }),
      refused("certificate_invalid", "does not belong to"),
    );
    await rotateLinkKey({ config: a.configPath, authorityKeyFile: kept });
    assert.equal((await identityOf(a.configPath)).generation, 1);
  }));

Deno.test("a link key that is damaged is replaced by whoever says which generation comes", () =>
  withSites(async ({ a }) => {
    const { linkKeyPath } = await rotateLinkKey({ config: a.configPath });
    await Deno.writeTextFile(linkKeyPath, "garbage");
    await assert.rejects(
      rotateLinkKey({ config: a.configPath }),
      refused("certificate_invalid", linkKeyPath),
    );
    await rotateLinkKey({ config: a.configPath, generation: 2 });
    assert.equal((await identityOf(a.configPath)).generation, 2);
  }));

Deno.test("prepareAuthority() changes nothing, useAuthority() changes the configuration alone", () =>
  withSites(async ({ a }) => {
    const before = await Deno.readTextFile(a.configPath);
    const next = await prepareAuthority(a.configPath, Date.now());
    assert.equal(await Deno.readTextFile(a.configPath), before);
    assert.equal((await identityOf(a.configPath)).certificate.fingerprint, a.fingerprint);
    assert.equal(next.certificatePath, join(a.configPath, "../site-2.crt"));
    const another = await prepareAuthority(a.configPath, Date.now());
    assert.equal(another.certificatePath, join(a.configPath, "../site-3.crt"));
    for (const file of ["site-2.key", "site-2-link-key.pem"]) {
      const { mode } = await Deno.stat(join(a.configPath, "..", file));
      assert.equal(mode! & 0o777, 0o600, file);
    }

    await useAuthority(a.configPath, next.certificatePath);
    const identity = await identityOf(a.configPath);
    assert.equal(identity.certificate.fingerprint, next.fingerprint);
    assert.equal(identity.generation, 1);
    assert.equal(identity.certificate.site, "a");
    assert.equal((await rotateLinkKey({ config: a.configPath })).generation, 2);

    await assert.rejects(
      useAuthority(a.configPath, join(a.configPath, "../none.crt")),
      refused("certificate_invalid", "none.crt"),
    );
    await useAuthority(a.configPath, a.certificatePath);
    assert.equal((await identityOf(a.configPath)).certificate.fingerprint, a.fingerprint);
  }));

Deno.test("a peer has two certificates while it changes over, and one of them in the end", () =>
  withSites(async ({ a, b, c }) => {
    const config = a.configPath;
    await trustPeer({ config, peer: "b", certificate: b.certificatePath, address: "192.0.2.1:1" });
    const next = await prepareAuthority(b.configPath, Date.now());
    const certificate = next.certificatePath;
    const fingerprints = async () =>
      (await loadPeers(config)).map(({ name, address, certificate }) => [
        name,
        address,
        certificate.fingerprint,
      ]);

    await assert.rejects(
      trustPeer({ config, peer: "b", certificate }),
      refused("peer_exists", "stands for another identity"),
    );
    await assert.rejects(
      trustPeer({ config, peer: "b", certificate, change: "replace" }),
      refused("peer_exists", "not one of its certificates"),
    );
    await assert.rejects(
      trustPeer({ config, peer: "d", certificate, change: "add" }),
      refused("peer_unknown", "d"),
    );
    await assert.rejects(
      trustPeer({ config, peer: "b", certificate: a.certificatePath, change: "add" }),
      refused("peer_exists", "this site itself"),
    );
    const both = [["b", "192.0.2.1:1", b.fingerprint], ["b", "192.0.2.1:1", next.fingerprint]];
    for (let count = 0; count < 2; count++) {
      await trustPeer({ config, peer: "b", certificate, change: "add" });
      assert.deepEqual(await fingerprints(), both, "adding twice is adding once");
    }
    await assert.rejects(
      trustPeer({ config, peer: "e", certificate }),
      refused("peer_exists", "under the name b"),
    );
    await trustPeer({ config, peer: "c", certificate: c.certificatePath });
    await trustPeer({ config, peer: "b", certificate, address: "192.0.2.2:2" });
    assert.deepEqual((await fingerprints()).slice(0, 2).map(([, address]) => address), [
      "192.0.2.2:2",
      "192.0.2.2:2",
    ]);

    await trustPeer({ config, peer: "b", certificate, change: "replace" });
    assert.deepEqual(await fingerprints(), [
      ["b", "192.0.2.2:2", next.fingerprint],
      ["c", null, c.fingerprint],
    ]);
    await trustPeer({ config, peer: "b", certificate: b.certificatePath, change: "add" });
    await trustPeer({ config, peer: "b", certificate: b.certificatePath, change: "replace" });
    assert.equal((await fingerprints())[0][2], b.fingerprint, "and back");
  }));

Deno.test("untrustPeer() takes one peer out and leaves everything else", () =>
  withSites(async ({ a, b, c }) => {
    const config = a.configPath;
    await trustPeer({ config, peer: "b", certificate: b.certificatePath });
    await trustPeer({ config, peer: "c", certificate: c.certificatePath });
    await untrustPeer({ config, peer: "b" });
    assert.deepEqual((await loadPeers(config)).map(({ name }) => name), ["c"]);
    await assert.rejects(untrustPeer({ config, peer: "b" }), refused("peer_unknown", "b"));
    await trustPeer({ config, peer: "b", certificate: b.certificatePath });
    assert.equal((await loadPeers(config)).length, 2);
  }));
