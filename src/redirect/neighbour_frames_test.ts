import assert from "node:assert/strict";
import { checksum, macBytes } from "./ethernet.ts";
import { neighbourQuestion, parseNeighbourAnswer } from "./neighbour_frames.ts";

const HOST = "02:00:00:00:00:01";
const MACHINE = "52:54:00:00:00:05";

Deno.test("who has an IPv4 address is asked by an ARP probe, which names no address of the asking host", () => {
  assert.equal(
    neighbourQuestion("10.1.0.5", HOST).toHex(),
    "ffffffffffff" + "020000000001" + "0806" + "0001" + "0800" + "0604" + "0001" +
      "020000000001" + "00000000" + "000000000000" + "0a010005",
  );
});

Deno.test("who has an IPv6 address is asked by a solicitation to those whose address ends like it", () => {
  const frame = neighbourQuestion("2001:db8::12:3456", HOST);
  assert.equal(frame.subarray(0, 14).toHex(), "3333ff123456" + "020000000001" + "86dd");
  assert.equal(frame.subarray(22, 38).toHex(), "fe80000000000000000000fffe000001");
  assert.equal(frame.subarray(38, 54).toHex(), "ff0200000000000000000001ff123456");
  assert.equal(
    frame.subarray(62, 86).toHex(),
    "20010db8000000000000000000123456" + "0101020000000001",
  );
  // RFC 1071: the checksum of everything, the checksum included, is zero.
  const pseudo = [...frame.subarray(22, 54), 0, 0, 0, 32, 0, 0, 0, 58, ...frame.subarray(54)];
  assert.equal(checksum(pseudo), 0);
});

const arp = (operation: number) =>
  Uint8Array.from([
    ...[...macBytes(HOST), ...macBytes(MACHINE), 0x08, 0x06],
    ...[0, 1, 8, 0, 6, 4, 0, operation],
    ...[...macBytes(MACHINE), 10, 1, 0, 5, ...macBytes(HOST), 0, 0, 0, 0],
  ]);
const advertisement = (flags: number, hopLimit = 255) =>
  Uint8Array.from([
    ...[...macBytes(HOST), ...macBytes(MACHINE), 0x86, 0xdd],
    ...[0x60, 0, 0, 0, 0, 24, 58, hopLimit, ...Array(32).fill(0)],
    ...[136, 0, 0, 0, flags, 0, 0, 0, 0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 5],
  ]);

Deno.test("answers name address and MAC; questions, announcements and what came from afar are none", () => {
  assert.deepEqual(parseNeighbourAnswer(arp(2)), { ip: "10.1.0.5", mac: MACHINE });
  assert.deepEqual(parseNeighbourAnswer(advertisement(0x60)), { ip: "2001:db8::5", mac: MACHINE });
  for (const other of [arp(1), advertisement(0x20), advertisement(0x60, 64)]) {
    assert.equal(parseNeighbourAnswer(other), null);
  }
});

Deno.test("an answer that is cut anywhere is none", () => {
  for (const whole of [arp(2), advertisement(0x60)]) {
    for (let length = 0; length < whole.length; length++) {
      assert.equal(parseNeighbourAnswer(whole.subarray(0, length)), null, `${length}`);
    }
  }
});
