import assert from "node:assert/strict";
import fc from "fast-check";
import { requireUnclaimed } from "./conflicts.ts";

const other = {
  guest: "db",
  addresses: [{
    ip: "2001:db8::7",
    mac: "52:54:00:AA:00:01",
    subnet: "2001:db8::/64",
    name: "db.example.",
  }, { ip: "10.1.0.7", subnet: "10.1.0.0/24" }],
};

Deno.test("an address, MAC or name of another machine is refused, however it is written", () => {
  const cases = [
    { ip: "2001:0DB8:0:0::7" },
    { ip: "10.1.0.7" },
    { ip: "10.9.0.1", mac: "52:54:00:aa:00:01" },
    { ip: "10.9.0.1", name: "DB.example" },
  ];
  for (const address of cases) {
    assert.throws(
      () => requireUnclaimed({ guest: "web", addresses: [address] }, [other]),
      { code: "address_conflict", message: /db's/ },
    );
  }
});

Deno.test("a machine may name one address once, and its own registration is no conflict", () => {
  const twice = [{ ip: "::1" }, { ip: "0:0::1" }];
  assert.throws(
    () => requireUnclaimed({ guest: "web", addresses: twice }, []),
    { code: "address_conflict", message: /::1 is named twice/ },
  );
  requireUnclaimed(other, [other]);
});

Deno.test("subnets are the same or have nothing in common, for all machines of the site", () => {
  const of = (subnet: string) => ({ guest: "web", addresses: [{ ip: "10.1.0.130", subnet }] });
  requireUnclaimed(of("10.1.0.0/24"), [other]);
  requireUnclaimed(of("10.1.1.0/24"), [other]);
  for (const subnet of ["10.1.0.128/25", "10.0.0.0/8"]) {
    assert.throws(
      () => requireUnclaimed(of(subnet), [other]),
      { code: "address_conflict", message: /overlaps 10\.1\.0\.0\/24 of db/ },
    );
  }
});

Deno.test("whether two machines conflict does not depend on who came first", () => {
  const address = fc.record({
    ip: fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.1.1"),
    subnet: fc.option(fc.constantFrom("10.0.0.0/24", "10.0.0.0/16"), { nil: undefined }),
    mac: fc.option(fc.constantFrom("52:54:00:00:00:01", "52:54:00:00:00:02"), { nil: undefined }),
  }, { noNullPrototype: true });
  const refused = (mine: Parameters<typeof requireUnclaimed>[0], theirs: typeof mine) => {
    try {
      requireUnclaimed(mine, [theirs]);
      return false;
    } catch {
      return true;
    }
  };
  fc.assert(fc.property(address, address, (a, b) => {
    const [left, right] = [{ guest: "a", addresses: [a] }, { guest: "b", addresses: [b] }];
    assert.equal(refused(left, right), refused(right, left));
  }));
});
