import assert from "node:assert/strict";
import { peerNamed, resolvePeers } from "../config/peers.ts";
import { loadConfig } from "../config/config.ts";
import { parseProfile } from "../emulator/profile.ts";
import { startRelay } from "../emulator/udp_relay.ts";
import { loadIdentity } from "../identity/site_identity.ts";
import { BUNDLE_ID_BYTES, PROTOCOL_VERSION } from "../wire/handshake.ts";
import { RECORD_BYTES_MAX } from "../wire/limits.ts";
import type { Carrier } from "./carrier.ts";
import { dialHandshake } from "./handshake_run.ts";
import { CHUNK_HEADER_BYTES } from "./quic_chunks.ts";
import { connectPeer, diallingEndpoint, peerTarget } from "./quic_connect.ts";
import { type ByteStream, quicStream } from "./quic_stream.ts";
import {
  type Audited,
  clock,
  never,
  open,
  type Site,
  trust,
  withSites,
} from "../testing/quic_support.ts";

/** Connects from `from` to `to` as any QUIC client could that knows the public certificate. */
async function connectRaw(from: Site, to: string) {
  const config = await loadConfig(from.configPath);
  const peer = peerNamed(await resolvePeers(config), to);
  const target = peerTarget(peer);
  const endpoint = diallingEndpoint(target);
  const connect = async () => {
    const conn = await connectPeer(endpoint, target, peer);
    return { conn, stream: quicStream(await conn.createBidirectionalStream()) };
  };
  const own = {
    identity: await loadIdentity(config),
    site: config.site,
    incarnation: "raw",
    version: PROTOCOL_VERSION,
  };
  return { endpoint, connect, own, peer };
}

function header(...fields: number[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(CHUNK_HEADER_BYTES);
  fields.forEach((field, index) => new DataView(bytes.buffer).setUint32(4 * index, field));
  return bytes;
}

async function drain(stream: ByteStream): Promise<void> {
  while (await stream.read().catch(() => null) !== null);
}

/** `b` accepts what `a` sends raw. */
async function withAcceptor(
  body: (sites: { a: Site; accepted: Promise<Carrier>; audited: Audited[] }) => Promise<void>,
) {
  await withSites(async (sites) => {
    const audited: Audited[] = [];
    const b = await open(sites.b, audited);
    await trust(sites.a, "b", sites.b, b.address);
    await trust(sites.b, "a", sites.a);
    const { promise: accepted, resolve } = Promise.withResolvers<Carrier>();
    b.onAccept(resolve);
    try {
      await body({ a: sites.a, accepted, audited });
    } finally {
      await b.close();
    }
  });
}

Deno.test("garbage instead of a handshake is answered by a refusal and audited", () =>
  withAcceptor(async ({ a, audited }) => {
    for (const bytes of [new Uint8Array(100), new Uint8Array(5).fill(0xff)]) {
      const { endpoint, connect } = await connectRaw(a, "b");
      const { conn, stream } = await connect();
      await stream.write(bytes);
      const refusal = await stream.read();
      assert.match(new TextDecoder().decode(refusal!), /handshake_failed/);
      conn.close();
      endpoint.close();
    }
    // The refusal is audited before it is waited for.
    assert.deepEqual(audited.map(({ body }) => body.code), [
      "handshake_failed",
      "handshake_failed",
    ]);
  }));

Deno.test("records that no gateway sends close an authenticated bundle with the reason", async () => {
  const cases: [Uint8Array, RegExp][] = [
    [header(1, RECORD_BYTES_MAX + 1, 0, 1), /Cannot accept a record of \d+ bytes: the limit is/],
    [header(1, 0xffffffff, 0, 0xffffffff), /4294967295 bytes/],
    [new Uint8Array(64).fill(0x41), /1094795585 bytes/],
    [header(1, 100, 90, 20), /a chunk of 20 bytes at 90 of 100/],
  ];
  for (const [bytes, reason] of cases) {
    await withAcceptor(async ({ a, accepted }) => {
      const { endpoint, connect, own, peer } = await connectRaw(a, "b");
      const bundleId = crypto.getRandomValues(new Uint8Array(BUNDLE_ID_BYTES));
      const lanes = await Promise.all([0, 1].map(async (laneIndex) => {
        const lane = await connect();
        await dialHandshake(lane.stream, own, peer, { bundleId, laneIndex, laneCount: 2 });
        return lane;
      }));
      const carrier = await accepted;
      carrier.receive(() => {});
      await lanes[1].stream.write(bytes);
      assert.match((await carrier.closed).reason, reason);
      await Promise.all(lanes.map(({ stream }) => drain(stream)));
      endpoint.close();
    });
  }
});

Deno.test("a lane that joins twice, or a lane count that changes, is refused", () =>
  withAcceptor(async ({ a, audited }) => {
    const { endpoint, connect, own, peer } = await connectRaw(a, "b");
    const bundleId = crypto.getRandomValues(new Uint8Array(BUNDLE_ID_BYTES));
    for (const [laneIndex, laneCount] of [[0, 5], [0, 5], [1, 4]]) {
      const { conn, stream } = await connect();
      await dialHandshake(stream, own, peer, { bundleId, laneIndex, laneCount });
      if (audited.length > 0 || laneIndex === 1) await drain(stream);
      else if (laneCount === 5 && audited.length === 0) void conn.closed.catch(() => {});
    }
    endpoint.close();
    await waitUntil(() => audited.length >= 2);
    for (const { body } of audited) assert.match(String(body.message), /exists already/);
  }));

async function waitUntil(condition: () => boolean) {
  while (!condition()) await clock.sleep(5);
}

Deno.test("both ends give a bundle up when nothing was heard for its limit", () =>
  withSites(async (sites) => {
    const options = { silenceMsMax: 700 };
    const a = await open(sites.a, [], options);
    const b = await open(sites.b, [], options);
    const profile = parseProfile(
      JSON.stringify({
        name: "short",
        description: "-",
        source: "-",
        forward: { rateBitsPerSecond: 1e8, delayMs: 5 },
      }),
      "short",
    );
    const relay = await startRelay({ profile, listen: "127.0.0.1:0", to: b.address });
    await trust(sites.a, "b", sites.b, relay.address);
    await trust(sites.b, "a", sites.a);
    const { promise: accepted, resolve } = Promise.withResolvers<Carrier>();
    b.onAccept(resolve);
    const near = await a.dial("b", never());
    const far = await accepted;
    far.receive(() => {});
    await near.send(new Uint8Array(10_000), false);
    relay.cut();
    for (const { reason } of await Promise.all([near.closed, far.closed])) {
      assert.match(reason, /nothing was heard for \d+ ms/);
    }
    await assert.rejects(near.send(new Uint8Array(1), true));
    await Promise.all([a.close(), b.close()]);
    await relay.close();
  }));
