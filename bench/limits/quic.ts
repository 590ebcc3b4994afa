import { createAuthority, issueLeaf, KEY_ALGORITHM } from "../../src/identity/certificate.ts";
import { serverName } from "../../src/identity/fingerprint.ts";
import * as x509 from "@peculiar/x509";

const ALPN = "limits";
const WRITE_BYTES = 64 * 1024;

/**
 * Sends the bytes over one QUIC stream of the bare runtime, over the loopback. Both ends are in this
 * process.
 */
export async function quicLoopback(bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  const authority = await createAuthority("limits", Date.now());
  const key = await crypto.subtle.importKey(
    "pkcs8",
    x509.PemConverter.decodeFirst(authority.keyPem),
    KEY_ALGORITHM,
    false,
    ["sign"],
  );
  const leaf = await issueLeaf(authority.certificatePem, key);
  const server = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const listener = server.listen({
    alpnProtocols: [ALPN],
    cert: leaf.certificatePem,
    key: leaf.keyPem,
  });
  const client = new Deno.QuicEndpoint({ hostname: "127.0.0.1", port: 0 });
  const [near, far] = await Promise.all([
    Deno.connectQuic({
      hostname: "127.0.0.1",
      port: server.addr.port,
      endpoint: client,
      serverName: serverName(authority.fingerprint),
      caCerts: [authority.certificatePem],
      alpnProtocols: [ALPN],
      congestionControl: "low-latency",
    }),
    listener.accept(),
  ]);
  const writer = (await near.createBidirectionalStream()).writable.getWriter();
  const reading = receive(far, bytes.length);
  for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
    await writer.write(bytes.subarray(at, at + WRITE_BYTES));
  }
  await reading;
  near.close({ closeCode: 0, reason: "" });
  await far.closed;
  client.close();
  server.close();
}

async function receive(conn: Deno.QuicConn, lengthBytes: number): Promise<void> {
  const streams = conn.incomingBidirectionalStreams.getReader();
  const reader = (await streams.read()).value!.readable.getReader({ mode: "byob" });
  let buffer = new ArrayBuffer(WRITE_BYTES);
  for (let received = 0; received < lengthBytes;) {
    const { value, done } = await reader.read(new Uint8Array(buffer));
    if (done) throw new Error("the stream has ended early");
    received += value.length;
    buffer = value.buffer;
  }
}
