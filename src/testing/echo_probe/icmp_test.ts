import assert from "node:assert/strict";
import { checksum, decodeReply, ECHO_BYTES, encodeEcho } from "./icmp.ts";

function replyTo(request: Uint8Array, headerBytes = 20): Uint8Array {
  const packet = new Uint8Array(headerBytes + request.length);
  packet[0] = 0x40 | headerBytes / 4;
  packet.set(request, headerBytes);
  packet[headerBytes] = 0;
  return packet;
}

Deno.test("a request sums up to what a receiver accepts", () => {
  // The sum over a message with its checksum in place is 0xffff, so its complement is 0.
  for (const number of [0, 1, 65_535, 70_000, 0xffffffff]) {
    assert.equal(checksum(encodeEcho(0x1234, number)), 0);
  }
  // RFC 1071, section 3.
  const example = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
  assert.equal(checksum(example), ~0xddf2 & 0xffff);
});

Deno.test("a reply tells which request it answers, past the 16 bits of the sequence number", () => {
  assert.equal(decodeReply(replyTo(encodeEcho(7, 70_000)), 7), 70_000);
  assert.equal(decodeReply(replyTo(encodeEcho(7, 70_000), 24), 7), 70_000);
});

Deno.test("replies to others, requests and cut packets are not ours", () => {
  const reply = replyTo(encodeEcho(7, 1));
  assert.equal(decodeReply(reply, 8), null);
  const request = reply.slice();
  request[20] = 8;
  assert.equal(decodeReply(request, 7), null);
  for (let length = 0; length < 20 + ECHO_BYTES; length++) {
    assert.equal(decodeReply(reply.subarray(0, length), 7), null);
  }
});
