import assert from "node:assert/strict";
import { join } from "node:path";
import { prepareAuthority, rotateLinkKey, useAuthority } from "../config/rotate.ts";
import { trustPeer } from "../config/trust.ts";
import { keysInMemory } from "../identity/known_keys.ts";
import { failsWith, never, open, type Site, trust, withSites } from "../testing/quic_support.ts";
import type { Carrier, CarrierEndpoint, CarrierKind } from "./carrier.ts";
import { fetchCertificateChain } from "./tls_fetch.ts";
import { fingerprint } from "../identity/fingerprint.ts";

/** Resolves with the next connection that comes in. */
function nextAccepted(endpoint: CarrierEndpoint): Promise<Carrier> {
  return new Promise((resolve) => endpoint.onAccept(resolve));
}

async function dial(
  from: CarrierEndpoint,
  to: CarrierEndpoint,
  name: string,
  kind: CarrierKind = "quic",
) {
  const accepted = nextAccepted(to);
  const near = await from.dial(name, never(), kind);
  return [near, await accepted] as const;
}

/** A record crosses, in both directions. */
async function carries([near, far]: readonly [Carrier, Carrier]): Promise<void> {
  for (const [from, to] of [[near, far], [far, near]]) {
    const got = new Promise<Uint8Array>((resolve) => to.receive(resolve));
    await from.send(new Uint8Array([7]), true);
    assert.deepEqual(await got, new Uint8Array([7]));
  }
}

async function withBoth(
  body: (world: {
    sites: Record<"a" | "b" | "c", Site>;
    a: CarrierEndpoint;
    b: CarrierEndpoint;
  }) => Promise<void>,
) {
  await withSites(async (sites) => {
    const a = await open(sites.a, [], { keys: keysInMemory() });
    const b = await open(sites.b, [], { keys: keysInMemory() });
    try {
      await trust(sites.a, "b", sites.b, b.address);
      await trust(sites.b, "a", sites.a, a.address);
      await body({ sites, a, b });
    } finally {
      await Promise.all([a.close(), b.close()]);
    }
  });
}

Deno.test("a gateway takes a new link key while it runs: open connections go on, new ones have it", () =>
  withBoth(async ({ sites, a, b }) => {
    const before = await dial(a, b, "b");
    assert.equal(await b.renewIdentity!(), null, "nothing has changed");
    for (const generation of [1, 2]) {
      assert.equal((await rotateLinkKey({ config: sites.b.configPath })).generation, generation);
      assert.deepEqual(await b.renewIdentity!(), { fingerprint: sites.b.fingerprint, generation });
      await carries(await dial(a, b, "b"));
      await carries(await dial(b, a, "a"));
    }
    await carries(before);
    const chain = await fetchCertificateChain({
      hostname: "127.0.0.1",
      port: Number(b.address.split(":")[1]),
    });
    assert.equal(fingerprint(chain[1]), sites.b.fingerprint, "first contact shows the same site");
  }));

Deno.test("who has an old link key is nobody any more, as a listener and as a caller", () =>
  withBoth(async ({ sites, a, b }) => {
    const linkKey = join(sites.b.configPath, "../link-key.pem");
    await rotateLinkKey({ config: sites.b.configPath });
    const stolen = await Deno.readTextFile(linkKey);
    await b.renewIdentity!();
    await carries(await dial(a, b, "b"));
    await Deno.writeTextFile(linkKey, stolen);
    await b.renewIdentity!();
    await carries(await dial(a, b, "b"));

    await rotateLinkKey({ config: sites.b.configPath });
    await b.renewIdentity!();
    await carries(await dial(a, b, "b"));
    const good = await Deno.readTextFile(linkKey);
    await Deno.writeTextFile(linkKey, stolen);
    await b.renewIdentity!();
    // Refused by TLS already: an old key could pass on what the true site says.
    await assert.rejects(a.dial("b", never()), failsWith("peer_not_trusted"));
    const refused = new Promise<{ code: string; message: string }>((resolve) =>
      a.onRefusal(resolve)
    );
    void b.dial("a", never()).catch(() => {});
    const { code, message } = await refused;
    assert.equal(code, "peer_not_trusted");
    assert.match(message, /of generation 1, and generation 2 has replaced it/);

    await Deno.writeTextFile(linkKey, good);
    await b.renewIdentity!();
    await carries(await dial(a, b, "b"));
  }));

Deno.test("a key that cannot be used leaves the one in use where it is", () =>
  withBoth(async ({ sites, a, b }) => {
    const linkKey = join(sites.b.configPath, "../link-key.pem");
    await rotateLinkKey({ config: sites.b.configPath });
    await b.renewIdentity!();
    const good = await Deno.readTextFile(linkKey);
    await Deno.writeTextFile(linkKey, good.slice(0, -60));
    await assert.rejects(b.renewIdentity!(), failsWith("certificate_invalid", "link-key.pem"));
    await carries(await dial(a, b, "b"));
  }));

Deno.test("a site changes its authority while peers hold two certificates, and none of them waits", () =>
  withBoth(async ({ sites, a, b }) => {
    const before = await dial(a, b, "b");
    const next = await prepareAuthority(sites.b.configPath, Date.now());
    const trusting = { config: sites.a.configPath, peer: "b", certificate: next.certificatePath };
    await trustPeer({ ...trusting, change: "add" });
    await carries(await dial(a, b, "b"));

    await useAuthority(sites.b.configPath, next.certificatePath);
    assert.deepEqual(await b.renewIdentity!(), { fingerprint: next.fingerprint, generation: 1 });
    await carries(await dial(a, b, "b"));
    await carries(await dial(b, a, "a"));
    await carries(before);

    await trustPeer({ ...trusting, change: "replace" });
    await carries(await dial(a, b, "b"));
    await carries(await dial(b, a, "a"));
  }));

Deno.test("a peer that was not told of another authority refuses it", () =>
  withBoth(async ({ sites, a, b }) => {
    const next = await prepareAuthority(sites.b.configPath, Date.now());
    await useAuthority(sites.b.configPath, next.certificatePath);
    await b.renewIdentity!();
    await assert.rejects(a.dial("b", never()), failsWith("peer_not_trusted"));
    await assert.rejects(b.dial("a", never()), failsWith("peer_not_trusted"));
  }));

Deno.test("TLS over TCP shows the present link key, and refuses one that has been replaced", () =>
  withBoth(async ({ sites, a, b }) => {
    const linkKey = join(sites.b.configPath, "../link-key.pem");
    const before = await dial(a, b, "b", "tls");
    await rotateLinkKey({ config: sites.b.configPath });
    const stolen = await Deno.readTextFile(linkKey);
    await b.renewIdentity!();
    await rotateLinkKey({ config: sites.b.configPath });
    await b.renewIdentity!();
    await carries(await dial(a, b, "b", "tls"));
    await carries(await dial(b, a, "a", "tls"));
    await carries(before);

    await Deno.writeTextFile(linkKey, stolen);
    await b.renewIdentity!();
    await assert.rejects(a.dial("b", never(), "tls"), failsWith("peer_not_trusted"));
    const refused = new Promise<{ code: string; message: string }>((resolve) =>
      a.onRefusal(resolve)
    );
    void b.dial("a", never(), "tls").catch(() => {});
    const { code, message } = await refused;
    assert.equal(code, "peer_not_trusted");
    assert.match(message, /of generation 1, and generation 2 has replaced it/);
  }));
