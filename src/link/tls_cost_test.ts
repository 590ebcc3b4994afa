import assert from "node:assert/strict";
import { tlsPacketBytes } from "./tls_cost.ts";

Deno.test("bytes over TLS cost their records and their packets, more over IPv6", () => {
  // 100 bytes: one record of 122, one packet of 174.
  assert.equal(tlsPacketBytes(100, "192.0.2.1"), 174);
  assert.equal(tlsPacketBytes(100, "2001:db8::1"), 194);
  assert.equal(tlsPacketBytes(100, "::ffff:192.0.2.1"), 174);
  // 64 KiB: 4 records, 46 packets of up to 1448 bytes.
  assert.equal(tlsPacketBytes(65_536, "192.0.2.1"), 65_536 + 4 * 22 + 46 * 52);
  assert.equal(tlsPacketBytes(0, "192.0.2.1"), 0);
});
