import assert from "node:assert/strict";
import { ATTEMPT_LIMITS, Attempts } from "./attempts.ts";
import { tokenAuthorizer } from "./authorize.ts";
import { testRegistry } from "./testing/memory_tokens.ts";

const SECRET = "s".repeat(43);
const HERE = "192.0.2.7";
const ELSEWHERE = "198.51.100.9";

function setUp() {
  const { registry, clock, audited } = testRegistry();
  registry.takeOver(SECRET, "/api-token");
  audited.length = 0;
  const refused: string[] = [];
  const attempts = new Attempts();
  const authorize = tokenAuthorizer({
    tokens: registry,
    clock,
    refused: (address) => refused.push(address),
    audit: (kind, body) => audited.push([kind, body]),
    attempts,
  });
  const send = (token: string, address = HERE) => {
    const { caller, denial } = authorize(`Bearer ${token}`, address);
    return caller?.name ?? denial!.error.code;
  };
  const lock = (address = HERE) => {
    for (let count = 0; count <= ATTEMPT_LIMITS.perAddress; count++) send(`w${count}`, address);
  };
  return { registry, clock, audited, refused, attempts, authorize, send, lock };
}

Deno.test("a right token opens, a wrong one and none do not", () => {
  const { authorize, send, refused } = setUp();
  assert.equal(send(SECRET), "operator");
  assert.equal(send(SECRET.slice(1)), "api_token_invalid");
  for (const header of [undefined, "", SECRET, "Bearer", `Basic ${SECRET}`]) {
    assert.equal(authorize(header, HERE).denial?.error.code, "api_token_invalid");
  }
  assert.deepEqual(refused, [HERE], "no token at all is no attempt");
});

Deno.test("a locked address is told when to come again, and is the only one that is locked", async () => {
  const { authorize, send, lock, audited, clock } = setUp();
  lock();
  const { denial } = authorize("Bearer wrong", HERE);
  assert.equal(denial?.error.code, "too_many_attempts");
  assert.equal(denial?.retryAfterMs, ATTEMPT_LIMITS.lockMs);
  assert.deepEqual(audited, [["address_locked", {
    address: HERE,
    lockedMs: ATTEMPT_LIMITS.lockMs,
  }]]);
  assert.equal(send("wrong", ELSEWHERE), "api_token_invalid");
  assert.equal(send(SECRET, ELSEWHERE), "operator");
  await clock.advance(ATTEMPT_LIMITS.lockMs);
  assert.equal(send("wrong"), "api_token_invalid");
});

Deno.test("while its address is locked a token is served that was right there before, and no guess is", () => {
  const { registry, send, lock } = setUp();
  const { token } = registry.create({ name: "new", role: "read", expiresAt: null }, "operator");
  assert.equal(send(SECRET), "operator");
  lock();
  assert.equal(send(SECRET), "operator");
  assert.equal(send(token), "too_many_attempts", "as if it were wrong");
  registry.create({ name: "second", role: "admin", expiresAt: null }, "operator");
  registry.revoke("operator", "second");
  assert.equal(send(SECRET), "too_many_attempts");
});

Deno.test("10,000 wrong tokens from 10,000 addresses keep no right one out and leave little behind", () => {
  const { send, refused, attempts } = setUp();
  const answers = new Map<string, number>();
  for (let count = 0; count < 10_000; count++) {
    const answer = send(`w${count}`, `10.${count >> 8}.${count & 255}.1`);
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
    if (count % 1_000 === 0) assert.equal(send(SECRET, ELSEWHERE), "operator");
  }
  assert.deepEqual([...answers], [
    ["api_token_invalid", ATTEMPT_LIMITS.everywhere],
    ["too_many_attempts", 10_000 - ATTEMPT_LIMITS.everywhere],
  ]);
  assert.equal(refused.length, 10_000);
  assert.equal(attempts.addressCount, ATTEMPT_LIMITS.addressesMax);
});
