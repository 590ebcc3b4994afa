/** Real QUIC through the relay: what the project's link does, without the project's link. */
import assert from "node:assert/strict";
import { loadProfile } from "../../src/emulator/load_profile.ts";
import { startRelay } from "../../src/emulator/udp_relay.ts";
import { createAuthority, issueLeaf, KEY_ALGORITHM } from "../../src/identity/certificate.ts";
import { serverName } from "../../src/identity/fingerprint.ts";

const CONNECTION_COUNT = 4;
const BYTES_EACH = 200_000;

async function certificates() {
  const authority = await createAuthority("test", Date.now());
  const key = await crypto.subtle.importKey(
    "pkcs8",
    Uint8Array.fromBase64(authority.keyPem.replace(/-----[^-]*-----|\s/g, "")),
    KEY_ALGORITHM,
    false,
    ["sign"],
  );
  const leaf = await issueLeaf(authority.certificatePem, key);
  return { authority, leaf, name: serverName(authority.fingerprint) };
}

/** Sends everything back on each connection's first stream. */
async function echo(listener: Deno.QuicListener): Promise<void> {
  for await (const incoming of listener) {
    (async () => {
      const conn = await incoming.accept();
      for await (const stream of conn.incomingBidirectionalStreams) {
        await stream.readable.pipeTo(stream.writable);
      }
      // Connections end when the test closes its endpoint.
    })().catch(() => {});
  }
}

Deno.test("four QUIC connections cross a lossy relay whole, each as a flow of its own", async () => {
  const { authority, leaf, name } = await certificates();
  const server = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const listener = server.listen({
    cert: leaf.certificatePem,
    key: leaf.keyPem,
    alpnProtocols: ["test"],
  });
  const serving = echo(listener).catch(() => {});
  const to = `127.0.0.1:${(server.addr as Deno.NetAddr).port}`;
  const profile = await loadProfile("lossy-intercontinental");
  const relay = await startRelay({ profile, listen: "127.0.0.1:0", to });
  relay.applyChange({ delayMs: 5 });
  const port = Number(relay.address.split(":")[1]);
  const bytes = Uint8Array.from({ length: BYTES_EACH }, (_, i) => Math.imul(i, 2654435761) >>> 24);

  const clients = await Promise.all(
    Array.from({ length: CONNECTION_COUNT }, async () => {
      const endpoint = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
      const conn = await Deno.connectQuic({
        endpoint,
        hostname: "127.0.0.1",
        port,
        serverName: name,
        caCerts: [authority.certificatePem],
        alpnProtocols: ["test"],
        congestionControl: "low-latency",
      });
      const stream = await conn.createBidirectionalStream();
      const writer = stream.writable.getWriter();
      const sending = writer.write(bytes).then(() => writer.close());
      const chunks: Uint8Array<ArrayBuffer>[] = [];
      for await (const chunk of stream.readable) chunks.push(chunk as Uint8Array<ArrayBuffer>);
      await sending;
      const answer = new Uint8Array(await new Blob(chunks).arrayBuffer());
      assert.deepEqual(answer, bytes);
      return { conn, endpoint };
    }),
  );
  const counters = relay.counters();
  assert.equal(counters.flows, CONNECTION_COUNT);
  for (const link of [counters.forward, counters.backward]) {
    assert(link.deliveredBytes > CONNECTION_COUNT * BYTES_EACH);
    assert(link.droppedPackets.loss > 0, "more than 500 packets at 1 % loss");
  }
  for (const { conn, endpoint } of clients) {
    conn.close();
    await conn.closed.catch(() => {});
    endpoint.close();
  }
  listener.stop();
  server.close();
  await serving;
  await relay.close();
});
