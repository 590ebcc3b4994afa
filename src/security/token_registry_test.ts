import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { memoryTokens, testRegistry } from "./testing/memory_tokens.ts";
import { FILE_TOKEN_CHARACTERS_MIN, requireRole, TOKENS_MAX } from "./token_registry.ts";
import { newToken, TOKEN_BITS } from "./token_text.ts";

const FILE = "/site/api-token";
const SECRET = "s".repeat(FILE_TOKEN_CHARACTERS_MIN);
const OTHER = "o".repeat(FILE_TOKEN_CHARACTERS_MIN);
const HOUR_MS = 3_600_000;

function withCode(code: string) {
  return (error: unknown) => error instanceof GatewayError && error.code === code;
}

function inHours(clock: VirtualClock, hours: number): string {
  return new Date(clock.wallMs() + hours * HOUR_MS).toISOString();
}

Deno.test("a token has 256 random bits and is nowhere but in the answer that made it", () => {
  const { registry, store, audited, logged } = testRegistry();
  registry.takeOver(SECRET, FILE);
  const { token } = registry.create({ name: "ada", role: "read", expiresAt: null }, "operator");
  assert.equal(Uint8Array.fromBase64(token, { alphabet: "base64url" }).length * 8, TOKEN_BITS);
  const kept = JSON.stringify([store.rows, audited, logged, registry.list()]);
  assert.ok(!kept.includes(token));
  assert.ok(!kept.includes(SECRET));
  const many = new Set(Array.from({ length: 1_000 }, newToken));
  assert.equal(many.size, 1_000);
});

Deno.test("the operator's token is taken over once, and is good when its file is gone", () => {
  const store = memoryTokens();
  const first = testRegistry(store);
  first.registry.takeOver(SECRET, FILE);
  assert.deepEqual(first.registry.find(SECRET), { id: "t1", name: "operator", role: "admin" });
  assert.deepEqual(first.audited.map(([kind]) => kind), ["token_created"]);
  for (const text of [null, SECRET]) {
    const later = testRegistry(store);
    later.registry.takeOver(text, FILE);
    assert.equal(later.registry.find(SECRET)?.role, "admin");
    assert.equal(store.rows.length, 1);
    assert.deepEqual(later.audited, []);
  }
});

Deno.test("a new secret in the file replaces the old one, not what the API has made", () => {
  const { registry, audited } = testRegistry();
  registry.takeOver(SECRET, FILE);
  const { token } = registry.create({ name: "ada", role: "admin", expiresAt: null }, "operator");
  registry.takeOver(OTHER, FILE);
  assert.equal(registry.find(SECRET), null);
  assert.equal(registry.find(OTHER)?.name, "operator");
  assert.equal(registry.find(token)?.name, "ada");
  assert.deepEqual(audited.map(([kind, { name }]) => `${kind} ${name}`), [
    "token_created operator",
    "token_created ada",
    "token_revoked operator",
    "token_created operator",
  ]);
});

Deno.test("a file that opens nothing is an error only where nobody else could administer", () => {
  const { registry, logged } = testRegistry();
  assert.throws(() => registry.takeOver(null, FILE), withCode("config_invalid"));
  assert.throws(() => registry.takeOver(SECRET.slice(1), FILE), withCode("config_invalid"));
  registry.takeOver(SECRET, FILE);
  registry.create({ name: "ada", role: "admin", expiresAt: null }, "operator");
  registry.revoke("operator", "ada");
  registry.takeOver(SECRET, FILE);
  assert.equal(registry.find(SECRET), null, "what was revoked stays revoked");
  assert.match(logged.at(-1)!, /^warn the token in \/site\/api-token has expired or was revoked/);
});

Deno.test("what the API made may be the operator's copy, and replaces nothing then", () => {
  const { registry } = testRegistry();
  registry.takeOver(SECRET, FILE);
  const { token } = registry.create({ name: "eye", role: "read", expiresAt: null }, "operator");
  registry.takeOver(token, FILE);
  assert.equal(registry.find(SECRET)?.role, "admin");
  assert.equal(registry.find(token)?.role, "read");
});

Deno.test("a token is good until it expires or is revoked, by its name or id", async () => {
  const { registry, clock } = testRegistry();
  registry.takeOver(SECRET, FILE);
  const make = (name: string, expiresAt: string | null) =>
    registry.create({ name, role: "operate", expiresAt }, "operator");
  const soon = make("soon", inHours(clock, 1));
  const named = make("named", null);
  const byId = make("by-id", null);
  for (const { token, name } of [soon, named, byId]) {
    assert.equal(registry.find(token)?.name, name);
  }
  assert.equal(registry.revoke("named", "operator").state, "revoked");
  assert.equal(registry.revoke(byId.id, "operator").state, "revoked");
  assert.equal(registry.revoke(byId.id, "operator").state, "revoked", "twice is as good as once");
  await clock.advance(HOUR_MS);
  for (const { token } of [soon, named, byId]) assert.equal(registry.find(token), null);
  assert.deepEqual(registry.list().map(({ name, state }) => `${name} ${state}`), [
    "operator active",
    "soon expired",
    "named revoked",
    "by-id revoked",
  ]);
  assert.throws(() => registry.revoke("named", "operator"), withCode("token_unknown"));
  make("named", null);
});

Deno.test("a token cannot be made expired, under a name in use, or beyond the limit", () => {
  const { registry, clock } = testRegistry();
  registry.takeOver(SECRET, FILE);
  const make = (name: string, expiresAt: string | null) => () =>
    registry.create({ name, role: "read", expiresAt }, "operator");
  assert.throws(make("late", inHours(clock, -1)), withCode("request_invalid"));
  assert.throws(make("operator", null), withCode("token_name_taken"));
  for (let count = 1; count < TOKENS_MAX; count++) make(`n${count}`, null)();
  assert.throws(make("more", null), withCode("token_limit"));
  registry.revoke("n1", "operator");
  make("more", null)();
});

Deno.test("the last token that can administer for good cannot be revoked", () => {
  const { registry, clock } = testRegistry();
  registry.takeOver(SECRET, FILE);
  const make = (name: string, expiresAt: string | null) =>
    registry.create({ name, role: "admin", expiresAt }, "operator");
  registry.create({ name: "eye", role: "operate", expiresAt: null }, "operator");
  make("guest", inHours(clock, 1));
  assert.throws(() => registry.revoke("operator", "operator"), withCode("token_last_admin"));
  registry.revoke("guest", "operator");
  make("second", null);
  registry.revoke("operator", "second");
  assert.throws(() => registry.revoke("second", "second"), withCode("token_last_admin"));
});

Deno.test("the last use is kept to the minute, and a ledger that fails keeps nobody out", async () => {
  const { registry, store, clock, logged } = testRegistry();
  registry.takeOver(SECRET, FILE);
  let writes = 0;
  const used = store.used;
  store.used = (id, at) => {
    writes++;
    used(id, at);
  };
  const startMs = clock.wallMs();
  for (const afterMs of [0, 1_000, 59_999, 60_000, 60_001]) {
    await clock.advance(startMs + afterMs - clock.wallMs());
    registry.find(SECRET);
  }
  assert.equal(writes, 2);
  assert.equal(store.rows[0].lastUsedAt, new Date(startMs + 60_000).toISOString());
  store.used = () => {
    throw new GatewayError("ledger_write_failed", "Cannot record: full", { hint: "" });
  };
  await clock.advance(HOUR_MS);
  assert.equal(registry.find(SECRET)?.name, "operator");
  assert.match(logged.at(-1)!, /^error Cannot record: full/);
});

Deno.test("what was opened with a token ends with it: on revocation and when it expires", async () => {
  const { registry, clock } = testRegistry();
  registry.takeOver(SECRET, FILE);
  const make = (name: string, expiresAt: string | null) =>
    registry.create({ name, role: "read", expiresAt }, "operator").id;
  const revoked = registry.ended(make("revoked", null));
  const expiring = registry.ended(make("expiring", inHours(clock, 100)));
  const lasting = registry.ended(make("lasting", null));
  registry.revoke("revoked", "operator");
  assert.deepEqual([revoked.aborted, expiring.aborted, lasting.aborted], [true, false, false]);
  await clock.advance(99 * HOUR_MS);
  assert.equal(expiring.aborted, false);
  await clock.advance(HOUR_MS + 1);
  assert.deepEqual([expiring.aborted, lasting.aborted], [true, false]);
  registry.close();
});

Deno.test("requireRole() names the token, its role and the one that is needed", () => {
  const token = { id: "t", name: "eye", role: "read" as const };
  requireRole(token, "read", "look");
  assert.throws(
    () => requireRole(token, "operate", "POST /v1/migrations"),
    (error) =>
      error instanceof GatewayError && error.code === "role_insufficient" &&
      /POST \/v1\/migrations: token eye has role read, this needs operate/.test(error.message),
  );
});
