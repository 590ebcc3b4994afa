import assert from "node:assert/strict";
import fc from "fast-check";
import { formatIp, parseIp, parseSubnet, subnetHas, subnetsOverlap } from "./ip_address.ts";

const bytes = (count: number) => fc.uint8Array({ minLength: count, maxLength: count });
const ip = fc.oneof(
  bytes(4).map((value) => ({ family: 4 as const, bytes: value })),
  bytes(16).map((value) => ({ family: 6 as const, bytes: value })),
  // Runs of zeroes, which is where the text forms differ.
  fc.array(fc.constantFrom(0, 0, 0, 1, 255), { minLength: 16, maxLength: 16 })
    .map((value) => ({ family: 6 as const, bytes: Uint8Array.from(value) })),
);

Deno.test("each address has one text, from which it is read again", () => {
  fc.assert(fc.property(ip, (address) => {
    const text = formatIp(address);
    assert.deepEqual(parseIp(text), address);
    assert.ok(address.family === 4 || new URL(`http://[${text}]`).hostname === `[${text}]`, text);
  }));
});

Deno.test("texts that are no address, or one only to some readers, are refused", () => {
  const wrong = [
    "",
    "1.2.3",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    "::1::",
    "1:2:3:4:5:6:7",
    "g::1",
  ];
  wrong.push("1:2:3:4:5:6:7:8:9", "1::2:3:4:5:6:7:8", "::1.2.3", "fe80::1%eth0", "12345::", ":1");
  for (const text of wrong) assert.equal(parseIp(text), null, text);
  for (const text of ["10.0.0.0", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/8/8", "x/8"]) {
    assert.equal(parseSubnet(text), null, text);
  }
});

Deno.test("a subnet has the addresses of its prefix, and overlaps only where one is in the other", () => {
  const net = parseSubnet("10.1.2.3/16")!;
  assert.equal(formatIp(net.address), "10.1.0.0");
  assert.ok(subnetHas(net, parseIp("10.1.255.255")!));
  assert.ok(!subnetHas(net, parseIp("10.2.0.0")!));
  assert.ok(!subnetHas(parseSubnet("0.0.0.0/0")!, parseIp("::1")!));
  const overlaps = (a: string, b: string) => subnetsOverlap(parseSubnet(a)!, parseSubnet(b)!);
  assert.ok(overlaps("10.1.0.0/16", "10.1.7.0/24"));
  assert.ok(overlaps("2001:db8::/32", "2001:db8:1::/48"));
  assert.ok(!overlaps("10.1.0.0/24", "10.1.1.0/24"));
  fc.assert(fc.property(ip, fc.nat(128), fc.nat(128), (address, a, b) => {
    const max = address.bytes.length * 8;
    const [left, right] = [a, b].map((bits) => ({
      address,
      prefixBits: Math.min(bits, max),
    }));
    assert.ok(subnetsOverlap(left, right));
  }));
});
