import assert from "node:assert/strict";
import { chunkPacketBytes, ipHeaderBytes } from "./packet_cost.ts";

const SHAPE = { datagramBytesMax: 1_414, streamBytes: 1_402, headerBytes: 28, lossRatio: 0 };

Deno.test("full packets cost their whole length, half-empty ones what is in them and headers", () => {
  // 1414 + 38 of QUIC + 28 of IPv4 and UDP.
  assert.equal(chunkPacketBytes(1_402, SHAPE), 1_480);
  assert.equal(chunkPacketBytes(10 * 1_402, SHAPE), 14_800);
  assert.equal(chunkPacketBytes(100, SHAPE), 178);
  assert.equal(chunkPacketBytes(1_403, SHAPE), 1_403 + 2 * 78);
});

Deno.test("what gets lost is paid for again, and a path that loses all costs no infinity", () => {
  assert.equal(chunkPacketBytes(1_402, { ...SHAPE, lossRatio: 0.2 }), 1_850);
  assert.equal(chunkPacketBytes(1_402, { ...SHAPE, lossRatio: 1 }), 2_960);
});

Deno.test("an IPv4 address in an IPv6 socket is IPv4 on the wire", () => {
  for (const address of ["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:192.0.2.1"]) {
    assert.equal(ipHeaderBytes(address), 28);
  }
  for (const address of ["2001:db8::1", "::1"]) assert.equal(ipHeaderBytes(address), 48);
});
