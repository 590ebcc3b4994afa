import assert from "node:assert/strict";
import { join } from "node:path";
import { GatewayError } from "../core/errors.ts";
import { loadIdentity } from "../identity/site_identity.ts";
import { listenTls } from "../link/tls_listener.ts";
import { loadConfig } from "./config.ts";
import { initSite } from "./init.ts";
import { loadPeers, peerNamed } from "./peers.ts";
import { trustPeer } from "./trust.ts";

function refused(code: string, ...parts: string[]) {
  return (error: unknown) =>
    error instanceof GatewayError && error.code === code &&
    parts.every((part) => error.message.includes(part));
}

async function withSites(
  names: string[],
  body: (sites: Record<string, Awaited<ReturnType<typeof initSite>>>, dir: string) => Promise<void>,
) {
  const dir = await Deno.makeTempDir();
  try {
    const sites: Record<string, Awaited<ReturnType<typeof initSite>>> = {};
    for (const name of names) sites[name] = await initSite({ site: name, dir: join(dir, name) });
    await body(sites, dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("trustPeer() adds a peer by its certificate, and can change its address later", () =>
  withSites(["a", "b"], async ({ a, b }) => {
    const config = a.configPath;
    const first = await trustPeer({ config, peer: "b", certificate: b.certificatePath });
    assert.deepEqual([first.fingerprint, first.address], [b.fingerprint, null]);
    const second = await trustPeer({
      config,
      peer: "b",
      certificate: b.certificatePath,
      address: "192.0.2.1:7420",
    });
    assert.equal(second.address, "192.0.2.1:7420");
    const peers = await loadPeers(config);
    assert.equal(peers.length, 1);
    assert.equal(peerNamed(peers, "b").certificate.fingerprint, b.fingerprint);
    assert.equal(peerNamed(peers, "b").address, "192.0.2.1:7420");
    assert.throws(() => peerNamed(peers, "c"), refused("peer_unknown", "c", "b"));
  }));

Deno.test("trustPeer() refuses a name or an identity that is taken, and the site itself", () =>
  withSites(["a", "b", "c"], async ({ a, b, c }) => {
    const config = a.configPath;
    await trustPeer({ config, peer: "b", certificate: b.certificatePath });
    const before = await Deno.readTextFile(config);
    const cases: [string, string, string][] = [
      ["b", c.certificatePath, "stands for"],
      ["c", b.certificatePath, "under the name b"],
      ["a", a.certificatePath, "this site itself"],
    ];
    for (const [peer, certificate, part] of cases) {
      await assert.rejects(trustPeer({ config, peer, certificate }), refused("peer_exists", part));
    }
    await assert.rejects(
      trustPeer({ config, peer: "../c", certificate: c.certificatePath }),
      refused("config_invalid", "peers[1].name"),
    );
    await assert.rejects(
      trustPeer({ config, peer: "c", certificate: c.certificatePath, address: "nonsense" }),
      refused("config_invalid", "peers[1].address"),
    );
    await assert.rejects(
      trustPeer({ config, peer: "c", certificate: config }),
      refused("certificate_invalid", config),
    );
    assert.equal(await Deno.readTextFile(config), before);
  }));

Deno.test("loadPeers() refuses a certificate file that is not the one that was trusted", () =>
  withSites(["a", "b", "c"], async ({ a, b, c }, dir) => {
    const config = a.configPath;
    await trustPeer({ config, peer: "b", certificate: b.certificatePath });
    await Deno.copyFile(c.certificatePath, join(dir, "a/peers/b.crt"));
    await assert.rejects(
      loadPeers(config),
      refused("config_invalid", b.fingerprint, c.fingerprint),
    );
  }));

Deno.test("trustPeer() fetches a certificate by fingerprint and keeps it only if it matches", () =>
  withSites(["a", "b", "c"], async ({ a, b, c }) => {
    const identity = await loadIdentity(await loadConfig(b.configPath));
    const listener = await listenTls(
      { hostname: "127.0.0.1", port: 0 },
      await identity.issueLeaf(),
      { take: () => Promise.resolve("refused"), onCertificateRefused() {} },
    );
    const address = `127.0.0.1:${listener.port}`;
    try {
      await assert.rejects(
        trustPeer({ config: a.configPath, peer: "b", fingerprint: c.fingerprint, address }),
        refused("peer_not_trusted", b.fingerprint, c.fingerprint),
      );
      assert.deepEqual(await loadPeers(a.configPath), []);
      await assert.rejects(
        trustPeer({ config: a.configPath, peer: "b", fingerprint: "sha256:ab", address }),
        refused("config_invalid", "64 hex digits"),
      );
      await trustPeer({ config: a.configPath, peer: "b", fingerprint: b.fingerprint, address });
      const [peer] = await loadPeers(a.configPath);
      assert.equal(peer.certificate.fingerprint, b.fingerprint);
      assert.equal(peer.address, address);
    } finally {
      await listener.close();
    }
    await assert.rejects(
      trustPeer({ config: a.configPath, peer: "d", fingerprint: c.fingerprint, address }),
      refused("peer_unreachable", address),
    );
  }));
