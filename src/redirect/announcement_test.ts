import assert from "node:assert/strict";
import { announcementFrame, announcementText } from "./announcement.ts";

const hex = (bytes: Uint8Array) => bytes.toHex();
const MAC = "52:54:00:00:00:05";

Deno.test("an IPv4 address is announced by an ARP request for itself, to all", () => {
  const frame = announcementFrame({ ip: "10.1.0.5", mac: MAC, to: null });
  assert.equal(
    hex(frame),
    "ffffffffffff" + "525400000005" + "0806" + "0001" + "0800" + "0604" + "0001" +
      "525400000005" + "0a010005" + "000000000000" + "0a010005",
  );
});

Deno.test("an IPv6 address is announced by an advertisement that overrides, with a right checksum", () => {
  const frame = announcementFrame({ ip: "2001:db8::5", mac: MAC, to: null });
  assert.equal(hex(frame.subarray(0, 14)), "333300000001" + "525400000005" + "86dd");
  // Hop limit 255, from the address itself to all nodes.
  assert.equal(hex(frame.subarray(18, 22)), "00203aff");
  assert.equal(hex(frame.subarray(38, 54)), "ff020000000000000000000000000001");
  assert.equal(hex(frame.subarray(54, 56)), "8800");
  assert.equal(frame[58], 0x20);
  // RFC 1071: the sum over everything, checksum included, is all ones.
  const pseudo = [...frame.subarray(22, 54), 0, 0, 0, 32, 0, 0, 0, 58, ...frame.subarray(54)];
  let sum = 0;
  for (let at = 0; at < pseudo.length; at += 2) sum += pseudo[at] * 256 + pseudo[at + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  assert.equal(sum, 0xffff);
});

Deno.test("a router is announced to its one neighbour, as a router", () => {
  const router = { ip: "2001:db8::1", mac: "02:00:00:00:00:01", to: MAC };
  const frame = announcementFrame(router, true);
  assert.equal(hex(frame.subarray(0, 6)), "525400000005");
  assert.equal(frame[58], 0xa0);
  assert.match(announcementText(router, "br0"), /2001:db8::1 is at 02:.* on br0 to 52:54/);
});
