import assert from "node:assert/strict";
import { connect, createServer, type TLSSocket } from "node:tls";
import { parseHostPort } from "../config/address.ts";
import { loadConfig } from "../config/config.ts";
import { peerNamed, resolvePeers } from "../config/peers.ts";
import { loadIdentity } from "../identity/site_identity.ts";
import type { PemPair } from "../identity/certificate.ts";
import { serverName } from "../identity/fingerprint.ts";
import {
  type Audited,
  clock,
  failsWith,
  never,
  open,
  type Site,
  trust,
  until,
  withSites,
} from "../testing/quic_support.ts";
import { BUNDLE_ID_BYTES, PROTOCOL_VERSION } from "../wire/handshake.ts";
import { RECORD_BYTES_MAX } from "../wire/limits.ts";
import type { Carrier } from "./carrier.ts";
import { dialHandshake } from "./handshake_run.ts";
import { ALPN } from "./quic_connect.ts";
import { CHUNK_HEADER_BYTES } from "./quic_chunks.ts";
import { PATH_RECORD_NUMBER } from "./tls_lane.ts";
import { fetchCertificateChain } from "./tls_fetch.ts";
import { TLS_STRANGERS_MAX } from "./tls_listener.ts";
import { tlsStream, UNREAD_BYTES_UNPROVEN } from "./tls_stream.ts";

type Sites = Record<"a" | "b" | "c", Site>;

/** `b` accepts what the test does at its link address. */
async function withAcceptor(
  body: (
    world: { sites: Sites; address: string; accepted: Promise<Carrier>; audited: Audited[] },
  ) => Promise<void>,
) {
  await withSites(async (sites) => {
    const audited: Audited[] = [];
    const b = await open(sites.b, audited);
    await trust(sites.a, "b", sites.b, b.address);
    await trust(sites.b, "a", sites.a);
    const { promise: accepted, resolve } = Promise.withResolvers<Carrier>();
    b.onAccept(resolve);
    try {
      await body({ sites, address: b.address, accepted, audited });
    } finally {
      await b.close();
    }
  });
}

/** Connects to `b` with whatever certificate, as any program could. */
async function connectRaw(address: string, b: Site, shown: PemPair | null) {
  const { hostname, port } = parseHostPort(address)!;
  const socket = connect({
    host: hostname,
    port,
    servername: serverName(b.fingerprint),
    rejectUnauthorized: false,
    minVersion: "TLSv1.3",
    ALPNProtocols: [ALPN],
    ...(shown && { cert: shown.certificatePem, key: shown.keyPem }),
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("secureConnect", () => resolve());
    socket.once("error", reject);
  });
  return tlsStream(socket);
}

async function leafOf(site: Site): Promise<PemPair> {
  return await (await loadIdentity(await loadConfig(site.configPath))).issueLeaf();
}

/** What `site` says of itself in the handshake, and whom it dials. */
async function ownSide(site: Site) {
  const config = await loadConfig(site.configPath);
  const identity = await loadIdentity(config);
  return {
    own: { identity, site: config.site, incarnation: "raw", version: PROTOCOL_VERSION },
    peer: peerNamed(await resolvePeers(config), "b"),
  };
}

function header(...fields: number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(CHUNK_HEADER_BYTES);
  fields.forEach((field, index) => new DataView(bytes.buffer).setUint32(4 * index, field));
  return bytes;
}

/** Joins `b` with two lanes by hand. */
async function joinRaw({ sites, address }: { sites: Sites; address: string }) {
  const { own, peer } = await ownSide(sites.a);
  const leaf = await leafOf(sites.a);
  const bundleId = crypto.getRandomValues(new Uint8Array(BUNDLE_ID_BYTES));
  return await Promise.all([0, 1].map(async (laneIndex) => {
    const stream = await connectRaw(address, sites.b, leaf);
    stream.unreadBytesMax = 1e9;
    await dialHandshake(stream, own, peer, { bundleId, laneIndex, laneCount: 2 });
    return stream;
  }));
}

Deno.test("garbage instead of a handshake is answered by a refusal and audited", () =>
  withAcceptor(async ({ sites, address, audited }) => {
    for (const bytes of [new Uint8Array(100), new Uint8Array(5).fill(0xff)]) {
      const stream = await connectRaw(address, sites.b, null);
      await stream.write(bytes);
      assert.match(new TextDecoder().decode((await stream.read())!), /handshake_failed/);
      stream.abort("done");
    }
    assert.deepEqual(audited.map(({ body }) => body.code), [
      "handshake_failed",
      "handshake_failed",
    ]);
  }));

Deno.test("a site's proof over a connection with another site's certificate, or none, is refused", () =>
  withAcceptor(async ({ sites, address, audited }) => {
    const { own, peer } = await ownSide(sites.a);
    const bundleId = crypto.getRandomValues(new Uint8Array(BUNDLE_ID_BYTES));
    for (const shown of [await leafOf(sites.c), null]) {
      const stream = await connectRaw(address, sites.b, shown);
      await assert.rejects(
        dialHandshake(stream, own, peer, { bundleId, laneIndex: 0, laneCount: 2 }),
        failsWith("peer_not_trusted", "it refused"),
      );
      stream.abort("done");
    }
    assert.equal(audited.length, 2);
  }));

Deno.test("a dialler refuses whoever shows a certificate of another site, or one of no site", () =>
  withSites(async (sites) => {
    const c = await loadIdentity(await loadConfig(sites.c.configPath));
    const leaf = await c.issueLeaf();
    const seen: TLSSocket[] = [];
    const server = createServer(
      { cert: leaf.certificatePem, key: leaf.keyPem, ALPNProtocols: [ALPN] },
      (socket) => {
        seen.push(socket);
        socket.on("error", () => {});
      },
    );
    server.on("tlsClientError", () => {});
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    const address = server.address() as { port: number };
    await trust(sites.a, "b", sites.b, `127.0.0.1:${address.port}`);
    const audited: Audited[] = [];
    const a = await open(sites.a, audited);
    await assert.rejects(
      a.dial("b", never(), "tls"),
      failsWith("peer_not_trusted", sites.b.fingerprint),
    );
    assert.equal(audited[0].body.code, "peer_not_trusted");
    await a.close();
    for (const socket of seen) socket.destroy();
    server.close();
  }));

Deno.test("records that no gateway sends close an authenticated bundle with the reason", async () => {
  const cases: [number, Uint8Array, RegExp][] = [
    [1, header(1, RECORD_BYTES_MAX + 1, 0, 1), /Cannot accept a record of \d+ bytes: the limit/],
    [1, header(1, 0xffffffff, 0, 0xffffffff), /4294967295 bytes/],
    [0, new Uint8Array(64).fill(0x41), /1094795585 bytes/],
    [1, header(1, 100, 90, 20), /a chunk of 20 bytes at 90 of 100/],
    [
      1,
      new Uint8Array([...header(PATH_RECORD_NUMBER, 9, 0, 9), 2, ...new Uint8Array(8)]),
      /a message about the path on a bulk lane/,
    ],
  ];
  for (const [laneIndex, bytes, reason] of cases) {
    await withAcceptor(async (world) => {
      const streams = await joinRaw(world);
      const carrier = await world.accepted;
      carrier.receive(() => {});
      await streams[laneIndex].write(bytes);
      assert.match((await carrier.closed).reason, reason);
      await Promise.all(streams.map(({ closed }) => closed));
    });
  }
});

Deno.test("messages about the path that mean nothing, or claim the impossible, change nothing", () =>
  withAcceptor(async (world) => {
    const [urgent] = await joinRaw(world);
    const carrier = await world.accepted;
    const { promise, resolve } = Promise.withResolvers<Uint8Array>();
    carrier.receive(resolve);
    const message = (bytes: Uint8Array) =>
      urgent.write(
        new Uint8Array([
          ...header(PATH_RECORD_NUMBER, bytes.length, 0, bytes.length),
          ...bytes,
        ]),
      );
    await message(Uint8Array.of(7));
    // FEEDBACK that says that everything was read, before anything was sent.
    const feedback = new Uint8Array(66 + 16).fill(0x7f);
    feedback[0] = 3;
    feedback[65] = 2;
    await message(feedback);
    await urgent.write(new Uint8Array([...header(0, 3, 0, 3), 1, 2, 3]));
    assert.deepEqual(await promise, new Uint8Array([1, 2, 3]));
    await carrier.send(new Uint8Array(1000), false);
    urgent.abort("done");
    await carrier.closed;
  }));

Deno.test("a caller that sends without end before its proof is cut off", () =>
  withAcceptor(async ({ sites, address, audited }) => {
    const stream = await connectRaw(address, sites.b, null);
    // The length of a message whose rest does not come, then more than a peer may send unread.
    await stream.write(new Uint8Array([0, 0, 2, 0]));
    const flood = new Uint8Array(64 * 1024);
    let sentBytes = 0;
    let failed = false;
    while (!failed && sentBytes < 50e6) {
      failed = await stream.write(flood).then(() => false, () => true);
      sentBytes += flood.length;
    }
    assert.ok(failed && sentBytes > UNREAD_BYTES_UNPROVEN / 2);
    await until(() => audited.length > 0);
    assert.equal(audited[0].body.code, "handshake_failed");
    stream.abort("done");
  }));

Deno.test("strangers that say nothing keep nobody out for long, and no more than so many at once", () =>
  withAcceptor(async ({ address }) => {
    const { hostname, port } = parseHostPort(address)!;
    const silent = await Promise.all(
      Array.from({ length: TLS_STRANGERS_MAX }, () => Deno.connect({ hostname, port })),
    );
    await assert.rejects(fetchCertificateChain({ hostname, port }, 2_000));
    silent.pop()!.close();
    let chain: Uint8Array[] = [];
    while (chain.length === 0) {
      chain = await fetchCertificateChain({ hostname, port }, 2_000).catch(() => []);
      if (chain.length === 0) await clock.sleep(20);
    }
    assert.equal(chain.length, 2);
    for (const conn of silent) conn.close();
  }));

Deno.test("a site that takes one carrier only says so to whoever dials the other", () =>
  withSites(async (sites) => {
    const only = async (site: Site, carrier: "quic" | "tls") => {
      const config = JSON.parse(await Deno.readTextFile(site.configPath));
      await Deno.writeTextFile(site.configPath, JSON.stringify({ ...config, carrier }));
    };
    await only(sites.b, "quic");
    await only(sites.c, "tls");
    const [a, b, c] = [await open(sites.a), await open(sites.b), await open(sites.c)];
    for (const [name, site, endpoint] of [["b", sites.b, b], ["c", sites.c, c]] as const) {
      await trust(sites.a, name, site, endpoint.address);
      await trust(site, "a", sites.a);
    }
    await assert.rejects(
      a.dial("b", never(), "tls"),
      failsWith("handshake_failed", "b takes peers over QUIC only"),
    );
    assert.equal((await a.dial("b", never(), "quic")).kind, "quic");
    assert.equal((await a.dial("c", never(), "tls")).kind, "tls");
    const soon = AbortSignal.timeout(700);
    await assert.rejects(a.dial("c", soon, "quic"));
    await Promise.all([a.close(), b.close(), c.close()]);
  }));
