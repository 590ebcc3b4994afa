import assert from "node:assert/strict";
import { tlsPacketBytes } from "./tls_cost.ts";
import { TLS_CHUNK_BYTES_MAX, TlsShape } from "./tls_shape.ts";

Deno.test("chunks are what leaves in 5 ms, small ones where a cap spreads them", () => {
  const shape = new TlsShape(0);
  assert.equal(shape.chunkBytes(null), 16 * 1024);
  assert.equal(shape.chunkBytes(1e6), 16 * 1024);
  assert.equal(shape.chunkBytes(8e6), 40_000);
  assert.equal(shape.chunkBytes(1e9), TLS_CHUNK_BYTES_MAX);
  shape.pace(2e6, 0);
  assert.equal(shape.chunkBytes(8e6), 10_000);
  shape.pace(50_000, 0);
  assert.equal(shape.chunkBytes(8e6), 2_800);
});

Deno.test("a cap holds over time for what the chunks cost on the wire", () => {
  const shape = new TlsShape(0);
  const capBytesPerSecond = 1e6;
  shape.pace(capBytesPerSecond, 0);
  let nowMs = 0;
  let wireBytes = 0;
  for (let i = 0; i < 1000; i++) {
    nowMs += shape.waitMs(nowMs);
    shape.sent(5_000, nowMs);
    wireBytes += tlsPacketBytes(16 + 5_000, "");
  }
  const rate = wireBytes * 1000 / nowMs;
  assert.ok(rate > 0.99 * capBytesPerSecond && rate < 1.02 * capBytesPerSecond, `${rate}`);
  shape.pace(null, nowMs);
  assert.equal(shape.waitMs(nowMs), 0);
});

Deno.test("a record costs what its chunks cost", () => {
  const shape = new TlsShape(0);
  const chunk = tlsPacketBytes(16 + 10_000, "");
  assert.equal(shape.recordPacketBytes(20_000, 10_000), 2 * chunk);
  assert.equal(
    shape.recordPacketBytes(20_100, 10_000),
    2 * chunk + tlsPacketBytes(16 + 100, ""),
  );
});
