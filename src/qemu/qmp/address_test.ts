import assert from "node:assert/strict";
import { formatQmpAddress, parseQmpAddress } from "./address.ts";

for (const text of ["/run/vm.qmp", "tcp:127.0.0.1:4444", "tcp:[::1]:4444", "tcp:host.example:1"]) {
  Deno.test(`${text} is an address and prints as itself`, () => {
    assert.equal(formatQmpAddress(parseQmpAddress(text)), text);
  });
}

for (const text of ["", "tcp:", "tcp:host", "tcp:host:0", "tcp:host:70000", "tcp:::1:5"]) {
  Deno.test(`${JSON.stringify(text)} is no address`, () => {
    assert.throws(() => parseQmpAddress(text), { code: "address_invalid" });
  });
}

Deno.test("a path that does not fit a socket address is refused by its length", () => {
  assert.equal(parseQmpAddress(`/${"a".repeat(106)}`).kind, "unix");
  assert.throws(() => parseQmpAddress(`/${"a".repeat(107)}`), /at most 107 bytes, not 108/);
});
