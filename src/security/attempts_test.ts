import assert from "node:assert/strict";
import fc from "fast-check";
import { ATTEMPT_LIMITS, Attempts, clientOf } from "./attempts.ts";

const { perAddress, forgiveMs, lockMs, lockMsMax, rememberMs, everywhere, addressesMax } =
  ATTEMPT_LIMITS;

/** Wrong tokens at one moment until the address is locked. @returns for how long */
function untilLocked(attempts: Attempts, address: string, nowMs: number): number {
  for (let count = 0; count <= perAddress; count++) {
    const { waitMs, locked } = attempts.wrong(address, nowMs);
    if (locked) return waitMs;
  }
  throw new Error("It was never locked");
}

Deno.test("an address is locked after too many wrong tokens in a row, and free again after its time", () => {
  const attempts = new Attempts();
  for (let count = 0; count < perAddress; count++) {
    assert.deepEqual(attempts.wrong("a", 0), { waitMs: 0, locked: false });
  }
  assert.deepEqual(attempts.wrong("a", 0), { waitMs: lockMs, locked: true });
  assert.equal(attempts.lockedForMs("a", 1), lockMs - 1);
  assert.equal(attempts.lockedForMs("a", lockMs), 0);
  assert.equal(attempts.lockedForMs("b", 1), 0, "another address is not concerned");
});

Deno.test("wrong tokens that come slowly lock nobody", () => {
  const attempts = new Attempts();
  for (let count = 0; count < 10 * perAddress; count++) {
    assert.equal(attempts.wrong("a", count * forgiveMs).locked, false);
  }
});

Deno.test("each lock is twice as long as the one before, up to a bound, until all is forgotten", () => {
  const attempts = new Attempts();
  let nowMs = 0;
  const locks: number[] = [];
  for (let count = 0; count < 7; count++) {
    const forMs = untilLocked(attempts, "a", nowMs);
    locks.push(forMs);
    nowMs += forMs;
  }
  assert.deepEqual(locks, [1, 2, 4, 8, 15, 15, 15].map((minutes) => minutes * 60_000));
  assert.equal(lockMsMax, 15 * 60_000);
  assert.equal(untilLocked(attempts, "a", nowMs + rememberMs + 1), lockMs);
});

Deno.test("tokens that were right at an address stay known there, the newest of them", () => {
  const attempts = new Attempts();
  const { tokensPerAddress } = ATTEMPT_LIMITS;
  for (let count = 0; count < tokensPerAddress; count++) attempts.right("a", `t${count}`);
  attempts.right("a", "t0");
  attempts.right("a", "new");
  assert.equal(attempts.isKnown("a", "t0"), true);
  assert.equal(attempts.isKnown("a", "t1"), false, "the one that was used longest ago");
  assert.equal(attempts.isKnown("a", "new"), true);
  assert.equal(attempts.isKnown("b", "new"), false);
});

Deno.test("wrong tokens from everywhere are told to wait, and lock no address for it", () => {
  const attempts = new Attempts();
  for (let count = 0; count < everywhere; count++) {
    assert.equal(attempts.wrong(`a${count}`, 0).waitMs, 0);
  }
  const { waitMs, locked } = attempts.wrong("fresh", 0);
  assert.equal(locked, false);
  assert.ok(waitMs > 0 && waitMs <= 1_000, `${waitMs} ms`);
  assert.equal(attempts.lockedForMs("fresh", 0), 0);
  assert.equal(attempts.wrong("later", 60_000).waitMs, 0);
});

Deno.test("however many addresses try, only so many are remembered", () => {
  const attempts = new Attempts();
  for (let count = 0; count < 10 * addressesMax; count++) attempts.wrong(`a${count}`, count);
  assert.equal(attempts.addressCount, addressesMax);
});

Deno.test("in any order of attempts a locked address is free when its time is over, and not before", () => {
  const step = fc.record({
    address: fc.constantFrom("a", "b"),
    afterMs: fc.integer({ min: 0, max: 2 * lockMs }),
  }, { noNullPrototype: true });
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const attempts = new Attempts({ ...ATTEMPT_LIMITS, perAddress: 3 });
    const freeAt: Record<string, number> = { a: 0, b: 0 };
    let nowMs = 0;
    for (const { address, afterMs } of steps) {
      nowMs += afterMs;
      const expected = Math.max(0, freeAt[address] - nowMs);
      assert.equal(attempts.lockedForMs(address, nowMs), expected);
      if (expected > 0) continue;
      const { waitMs, locked } = attempts.wrong(address, nowMs);
      if (locked) freeAt[address] = nowMs + waitMs;
    }
  }));
});

Deno.test("clientOf() takes IPv4 as it is and of IPv6 the part that a client cannot choose", () => {
  const cases = [
    ["192.0.2.7", "192.0.2.7"],
    ["::ffff:192.0.2.7", "192.0.2.7"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:0db8:1:2::9", "2001:db8:1:2::/64"],
    ["2001:db8::9", "2001:db8:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["an unknown address", "an unknown address"],
  ];
  for (const [address, client] of cases) assert.equal(clientOf(address), client, address);
});
