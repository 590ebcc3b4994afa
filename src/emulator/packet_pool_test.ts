import assert from "node:assert/strict";
import { PacketPool } from "./packet_pool.ts";

Deno.test("PacketPool uses a buffer again only after its last delivery", () => {
  const pool = new PacketPool(1500);
  const packet = pool.takeLarge();
  packet.packetBytes = 1500;
  packet.references = 2;
  pool.release(packet);
  assert.notEqual(pool.takeLarge(), packet);
  pool.release(packet);
  assert.equal(pool.takeLarge(), packet);
});

Deno.test("PacketPool moves a small packet and frees its large buffer", () => {
  const pool = new PacketPool(1500);
  const large = pool.takeLarge();
  large.buffer.set([1, 2, 3]);
  large.packetBytes = 3;
  large.toFd = 7;
  const small = pool.shrink(large);
  assert(small.buffer.length < 1500);
  assert.deepEqual([...small.buffer.subarray(0, small.packetBytes)], [1, 2, 3]);
  assert.equal(small.toFd, 7);
  assert.equal(pool.takeLarge(), large);
  const big = pool.takeLarge();
  big.packetBytes = 1000;
  assert.equal(pool.shrink(big), big);
});
