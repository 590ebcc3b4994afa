import assert from "node:assert/strict";
import { GatewayError } from "../core/errors.ts";
import type { GatewayService } from "../gateway/service.ts";
import { systemClock } from "../host/system_clock.ts";
import { createApp, REQUEST_BYTES_MAX } from "./app.ts";
import { fakeService } from "./testing/fake_service.ts";
import { oneToken } from "./testing/one_token.ts";

const TOKEN = "a-token-of-the-site";

function setUp(overrides: Partial<GatewayService> = {}) {
  const fake = fakeService(overrides);
  const logged: string[] = [];
  const app = createApp({
    service: fake.service,
    authorized: oneToken(TOKEN),
    clock: systemClock(),
    log: (level, message) => logged.push(`${level} ${message}`),
    processFigures: () => ({
      residentBytes: 1,
      heapBytes: 1,
      cpuSeconds: 1,
      startedAtSeconds: 1,
    }),
    profiles: () => Promise.resolve([{ name: "metro" }]),
  });
  const ask = (method: string, path: string, body?: unknown, headers: HeadersInit = {}) =>
    app.request(path, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  return { ...fake, app, ask, logged };
}

/** The answer is a problem document with everything that the contract promises. */
async function assertProblem(answer: Response, status: number, code: string) {
  const body = await answer.json();
  assert.equal(answer.status, status, JSON.stringify(body));
  assert.equal(answer.headers.get("content-type"), "application/problem+json");
  assert.deepEqual({ code: body.code, status: body.status, type: body.type }, {
    code,
    status,
    type: `urn:causeway:error:${code}`,
  });
  for (const field of ["title", "message", "hint"]) {
    assert.ok(body[field].length > 0, `${field} is empty`);
  }
  return body as { message: string; hint: string };
}

Deno.test("each route asks the service once and encodes its answer", async () => {
  const cases: [string, string, unknown, number, ...unknown[]][] = [
    ["GET", "/v1/guests", undefined, 200, "guests"],
    ["GET", "/v1/guests/web", undefined, 200, "guest", "web"],
    ["DELETE", "/v1/guests/web", undefined, 204, "deleteGuest", "web", false],
    ["DELETE", "/v1/guests/web?end=true", undefined, 204, "deleteGuest", "web", true],
    ["DELETE", "/v1/guests/web?end=false", undefined, 204, "deleteGuest", "web", false],
    ["POST", "/v1/guests/web/verify", undefined, 200, "verifyGuest", "web"],
    ["GET", "/v1/peers", undefined, 200, "peers"],
    ["GET", "/v1/redirects", undefined, 200, "redirects"],
    ["GET", "/v1/guests/web/redirect-commands", undefined, 200, "redirectCommands", "web"],
    ["GET", "/v1/migrations", undefined, 200, "migrations"],
    ["GET", "/v1/migrations/m-1", undefined, 200, "migration", "m-1"],
    ["POST", "/v1/migrations/m-1/cancel", undefined, 200, "cancel", "m-1"],
    ["POST", "/v1/migrations/m-1/switchover", undefined, 200, "switchover", "m-1"],
    ["POST", "/v1/migrations/m-1/hold", undefined, 200, "hold", "m-1"],
    ["POST", "/v1/migrations/m-1/rollback", undefined, 200, "rollback", "m-1"],
    ["PATCH", "/v1/migrations/m-1", { rate: null }, 200, "change", "m-1", { rate: null }],
    [
      "PATCH",
      "/v1/migrations/m-1",
      { rate: 5, maxDowntimeMs: 9 },
      200,
      "change",
      "m-1",
      { rate: 5, maxDowntimeMs: 9 },
    ],
    [
      "PATCH",
      "/v1/migrations/m-1",
      {
        rate: { policy: "fair" },
        weight: 1000,
        priority: "low",
        whenOver: ["throttleCpu", "giveUp"],
        window: { from: "2026-01-31T02:00:00+01:00" },
        hold: false,
        holdMemoryMs: 0,
      },
      200,
      "change",
      "m-1",
      {
        rate: { policy: "fair", maxBytesPerSecond: null },
        weight: 1000,
        priority: "low",
        whenOver: ["throttleCpu", "giveUp"],
        window: { from: "2026-01-31T02:00:00+01:00", until: null },
        hold: false,
        holdMemoryMs: 0,
      },
    ],
    ["PATCH", "/v1/migrations/m-1", { window: null }, 200, "change", "m-1", { window: null }],
    ["DELETE", "/v1/migrations/m-1/leftovers", undefined, 200, "deleteLeftovers", "m-1"],
    ["GET", "/v1/audit", undefined, 200, "audit", { limit: 100 }],
    [
      "GET",
      "/v1/audit?limit=7&before=9&kind=offer_rejected",
      undefined,
      200,
      "audit",
      { limit: 7, before: 9, kind: "offer_rejected" },
    ],
    ["GET", "/v1/tokens", undefined, 200, "tokens"],
    [
      "POST",
      "/v1/tokens",
      { name: "ada", role: "operate" },
      201,
      "createToken",
      { name: "ada", role: "operate", expiresAt: null },
      "test",
    ],
    ["DELETE", "/v1/tokens/ada", undefined, 200, "revokeToken", "ada", "test"],
    [
      "POST",
      "/v1/migrations/m-1/answer",
      { accept: true, maxDowntimeMs: 900 },
      200,
      "answer",
      "m-1",
      { accept: true, maxDowntimeMs: 900 },
    ],
    [
      "POST",
      "/v1/migrations/m-1/answer",
      { accept: false },
      200,
      "answer",
      "m-1",
      { accept: false },
    ],
    [
      "POST",
      "/v1/migrations/m-1/adjudicate",
      { owner: "west", reason: "east burnt down", force: true, by: "Ada" },
      200,
      "adjudicate",
      "m-1",
      { owner: "west", reason: "east burnt down", force: true, by: "Ada" },
    ],
  ];
  for (const [method, path, body, status, ...call] of cases) {
    const { ask, calls } = setUp();
    const answer = await ask(method, path, body);
    assert.equal(answer.status, status, `${method} ${path}: ${await answer.clone().text()}`);
    assert.deepEqual(calls, [call], `${method} ${path}`);
  }
});

Deno.test("PUT of a guest answers 201 when it is new and 200 when it was there", async () => {
  for (const created of [true, false]) {
    const { ask } = setUp({
      putGuest: async (id) => ({ created, guest: await fakeService().service.guest(id) }),
    });
    const answer = await ask("PUT", "/v1/guests/web", { kind: "reference", memoryMiB: 16 });
    assert.equal(answer.status, created ? 201 : 200);
    assert.equal((await answer.json()).id, "web");
  }
});

Deno.test("a started migration gets the defaults of the contract, and 201", async () => {
  const { ask, calls } = setUp();
  const answer = await ask("POST", "/v1/migrations", { guest: "web", to: "east" });
  assert.equal(answer.status, 201);
  assert.equal((await answer.json()).id, "m-1");
  assert.deepEqual(calls, [["startMigration", {
    guest: "web",
    to: "east",
    options: {
      strategy: "precopy",
      maxDowntimeMs: 300,
      hold: false,
      rate: null,
      weight: 100,
      priority: "normal",
      whenOver: ["wait"],
      window: null,
      holdMemoryMs: 600_000,
      handover: "fast",
      keepSource: false,
      rollbackOf: null,
      disable: [],
    },
  }]]);
});

Deno.test("bad input is refused by field, with what is allowed, before the service hears of it", async () => {
  const cases: [string, string, unknown, ...string[]][] = [
    ["POST", "/v1/migrations", { to: "east" }, "guest", "string"],
    ["POST", "/v1/migrations", { guest: "web", to: "east", holt: true }, "holt", "not known"],
    [
      "POST",
      "/v1/migrations",
      { guest: "web", to: "east", maxDowntimeMs: 0 },
      "maxDowntimeMs",
      "1",
    ],
    ["POST", "/v1/migrations", { guest: "web", to: "e", handover: "x" }, "handover", '"confirmed"'],
    ["POST", "/v1/migrations", { guest: "../web", to: "east" }, "guest", "A-Z"],
    ["POST", "/v1/migrations", "{", "JSON"],
    ["POST", "/v1/migrations", undefined, "guest"],
    ["POST", "/v1/migrations", "[]", "object"],
    ["PATCH", "/v1/migrations/m-1", {}, "at least one of rate"],
    ["PATCH", "/v1/migrations/m-1", { rate: "fast" }, "rate must be number or object"],
    ["PATCH", "/v1/migrations/m-1", { rate: -1 }, "rate:", ">0"],
    ["PATCH", "/v1/migrations/m-1", { rate: { policy: "slow" } }, 'rate.policy must be "fixed"'],
    ["PATCH", "/v1/migrations/m-1", { rate: {} }, '"fixed" or "clark" or "fair" or "schedule"'],
    ["PATCH", "/v1/migrations/m-1", { rate: { policy: "fair", x: 1 } }, "rate.x is not known"],
    [
      "POST",
      "/v1/migrations",
      {
        guest: "web",
        to: "east",
        rate: { policy: "clark", minBytesPerSecond: 9, maxBytesPerSecond: 8 },
      },
      "rate.maxBytesPerSecond",
      "below minBytesPerSecond",
    ],
    ["PATCH", "/v1/migrations/m-1", { whenOver: ["wait", "ask"] }, "nothing comes after wait"],
    ["PATCH", "/v1/migrations/m-1", { whenOver: ["pray"] }, "whenOver[0]", '"throttleDisks"'],
    ["PATCH", "/v1/migrations/m-1", { window: { from: "noon" } }, "window.from", "zone"],
    ["PATCH", "/v1/migrations/m-1", { weight: 1001 }, "weight", "1000"],
    ["PATCH", "/v1/migrations/m-1", { strategy: "precopy" }, "strategy is not known"],
    ["POST", "/v1/migrations/m-1/adjudicate", { owner: "west" }, "reason"],
    ["POST", "/v1/migrations/m-1/answer", {}, "accept"],
    ["POST", "/v1/migrations/m-1/answer", undefined, "accept"],
    ["POST", "/v1/migrations/m-1/answer", { accept: true, maxDowntimeMs: 0 }, "maxDowntimeMs"],
    [
      "POST",
      "/v1/migrations/m-1/answer",
      { accept: false, maxDowntimeMs: 500 },
      "maxDowntimeMs: a budget goes with accept: true",
    ],
    ["PATCH", "/v1/peers/east", { rate: 1 }, "rate", "1024"],
    ["PATCH", "/v1/peers/east", { rate: { policy: "fixed", bytesPerSecond: 9 } }, "rate", "1024"],
    ["PATCH", "/v1/peers/east", { rate: { policy: "fair" } }, '"fixed" or "schedule"'],
    ["PATCH", "/v1/peers/east", {}, "rate"],
    ["GET", "/v1/audit?limit=0", undefined, "query", "limit", "1"],
    ["POST", "/v1/tokens", { name: "ada" }, "role", '"read" or "operate" or "admin"'],
    ["POST", "/v1/tokens", { name: "a b", role: "read" }, "name", "1 to 64"],
    ["POST", "/v1/tokens", { name: "a", role: "read", expiresAt: "soon" }, "expiresAt", "zone"],
    ["GET", `/v1/guests/${"g".repeat(65)}`, undefined, "path", "id", "1 to 64"],
    ["DELETE", "/v1/guests/web?end=maybe", undefined, "end", '"true"'],
    ["PUT", "/v1/guests/web", { kind: "vmware" }, "kind", '"qemu"', '"reference"'],
    ["PUT", "/v1/guests/web", { kind: "reference" }, "memoryMiB"],
    [
      "PUT",
      "/v1/guests/web",
      { kind: "qemu", launch: { argv: ["qemu"], disks: [{ id: "a", path: "/a", format: "vdi" }] } },
      "launch.disks[0].format",
      '"qcow2"',
      "launch.disks[0].sizeMiB",
    ],
    ["PUT", "/v1/guests/web", { kind: "qemu", qmp: "/q", role: "both" }, "role", '"incoming"'],
  ];
  for (const [method, path, body, ...parts] of cases) {
    const { ask, calls } = setUp();
    const { message } = await assertProblem(
      await ask(method, path, body),
      422,
      "request_invalid",
    );
    for (const part of parts) assert.ok(message.includes(part), `${message} lacks ${part}`);
    assert.deepEqual(calls, []);
  }
});

Deno.test("an unknown strategy is strategy_not_available and names the known ones", async () => {
  const { ask } = setUp();
  const body = { guest: "web", to: "east", strategy: "postcopy" };
  const problem = await assertProblem(
    await ask("POST", "/v1/migrations", body),
    422,
    "strategy_not_available",
  );
  assert.match(problem.hint, /precopy, stop-and-copy/);
});

Deno.test("JSON is read whatever type the client gives it", async () => {
  for (const type of ["application/x-www-form-urlencoded", "text/plain", "application/json"]) {
    const { ask } = setUp();
    const body = { guest: "web", to: "east" };
    const answer = await ask("POST", "/v1/migrations", body, { "content-type": type });
    assert.equal(answer.status, 201, type);
  }
});

Deno.test("without the token nothing is answered but the state of health", async () => {
  const { app, calls } = setUp();
  const headers: (Record<string, string> | undefined)[] = [
    undefined,
    { authorization: "" },
    { authorization: TOKEN },
    { authorization: "Bearer" },
    { authorization: `Bearer ${TOKEN}x` },
    { authorization: `Basic ${TOKEN}` },
  ];
  for (const path of ["/v1/guests", "/metrics", "/openapi.json", "/v1/none", "/v1"]) {
    for (const sent of headers) {
      const answer = await app.request(path, { headers: sent });
      assert.equal(answer.headers.get("www-authenticate"), "Bearer");
      await assertProblem(answer, 401, "api_token_invalid");
    }
  }
  assert.deepEqual(calls, []);
  const answer = await app.request("/healthz");
  assert.deepEqual(await answer.json(), { status: "ok" });
});

Deno.test("with the token the state of health says what is behind it", async () => {
  const told = await (await setUp().ask("GET", "/healthz")).text();
  assert.equal(told, `{"status":"ok","site":"west","role":"admin","checks":{"peer east":"up"}}`);
});

Deno.test("what the service refuses keeps its code, message, hint and status", async () => {
  const { ask, logged } = setUp({
    startMigration: () =>
      Promise.reject(
        new GatewayError("destination_not_registered", "Cannot move web: no", { hint: "Do it" }),
      ),
  });
  const answer = await ask("POST", "/v1/migrations", { guest: "web", to: "east" });
  const problem = await assertProblem(answer, 409, "destination_not_registered");
  assert.equal(problem.message, "Cannot move web: no");
  assert.equal(problem.hint, "Do it");
  assert.deepEqual(logged, []);
});

Deno.test("a defect is told to the log and not to the client", async () => {
  const { ask, logged } = setUp({
    guests: () => Promise.reject(new TypeError("secret of the house")),
  });
  const answer = await ask("GET", "/v1/guests");
  assert.ok(!(await answer.clone().text()).includes("secret"));
  await assertProblem(answer, 500, "internal");
  assert.equal(logged.length, 1);
  assert.match(logged[0], /^error GET \/v1\/guests: TypeError: secret of the house\n +at /);
});

Deno.test("unknown paths, wrong methods and endless bodies are problems too", async () => {
  const { ask } = setUp();
  await assertProblem(await ask("GET", "/v1/nothing"), 404, "route_unknown");
  const wrong = await ask("DELETE", "/v1/peers");
  assert.equal(wrong.headers.get("allow"), "GET, HEAD");
  await assertProblem(wrong, 405, "method_not_allowed");
  await assertProblem(await ask("GET", "/v1/migrations/m-2"), 404, "migration_unknown");
  await assertProblem(await ask("GET", "/v1/migrations/m-2/events"), 404, "migration_unknown");
  const long = JSON.stringify({ guest: "x".repeat(REQUEST_BYTES_MAX) });
  await assertProblem(await ask("POST", "/v1/migrations", long), 413, "request_too_large");
  let sentChunks = 0;
  const endless = new ReadableStream({
    pull(controller) {
      sentChunks++;
      controller.enqueue(new Uint8Array(65_536));
    },
  });
  const { app } = setUp();
  const answer = await app.request("/v1/migrations", {
    method: "POST",
    body: endless,
    headers: { authorization: `Bearer ${TOKEN}` },
  });
  await assertProblem(answer, 413, "request_too_large");
  assert.ok(sentChunks < 20, `${sentChunks} chunks were read`);
});

Deno.test("the rate of a peer is set and its view answered; an unknown one is the service's to refuse", async () => {
  const { ask, calls } = setUp();
  const answer = await ask("PATCH", "/v1/peers/east", { rate: 4096 });
  assert.equal((await answer.json()).name, "east");
  assert.deepEqual(calls[0], ["setLinkRate", "east", 4096]);
  const rate = {
    policy: "schedule",
    entries: [{ from: "08:00", until: "18:00", days: [1, 2, 3, 4, 5], bytesPerSecond: 250_000 }],
  };
  for (const wished of [rate, null]) {
    const { ask, calls } = setUp();
    assert.equal((await ask("PATCH", "/v1/peers/east", { rate: wished })).status, 200);
    assert.deepEqual(calls[0], ["setLinkRate", "east", wished]);
  }
});

Deno.test("no answer may be stored, framed or sniffed", async () => {
  for (const path of ["/healthz", "/v1/guests", "/v1/nothing"]) {
    const { headers } = await setUp().ask("GET", path);
    assert.equal(headers.get("cache-control"), "no-store", path);
    assert.equal(headers.get("x-content-type-options"), "nosniff", path);
    assert.match(headers.get("content-security-policy") ?? "", /default-src 'none'/, path);
  }
});

Deno.test("the description of the API has every path of the contract", async () => {
  const { openapi, paths, components, security } = await (await setUp().ask("GET", "/openapi.json"))
    .json();
  assert.equal(openapi, "3.1.0");
  assert.deepEqual(security, [{ token: [] }]);
  const methods = Object.entries(paths).map(([path, item]) =>
    `${path} ${Object.keys(item as object).sort().join(",")}`
  ).sort();
  assert.deepEqual(methods, [
    "/healthz get",
    "/metrics get",
    "/v1/audit get",
    "/v1/guests get",
    "/v1/guests/{id} delete,get,put",
    "/v1/guests/{id}/redirect-commands get",
    "/v1/guests/{id}/verify post",
    "/v1/migrations get,post",
    "/v1/migrations/{id} get,patch",
    "/v1/migrations/{id}/adjudicate post",
    "/v1/migrations/{id}/answer post",
    "/v1/migrations/{id}/cancel post",
    "/v1/migrations/{id}/events get",
    "/v1/migrations/{id}/hold post",
    "/v1/migrations/{id}/leftovers delete",
    "/v1/migrations/{id}/rollback post",
    "/v1/migrations/{id}/switchover post",
    "/v1/peers get",
    "/v1/peers/{name} patch",
    "/v1/plan post",
    "/v1/profiles get",
    "/v1/redirects get",
    "/v1/redirects/events get",
    "/v1/redirects/{id}/answer post",
    "/v1/tokens get,post",
    "/v1/tokens/{id} delete",
  ]);
  const schemas = ["Guest", "Migration", "Peer", "Plan", "Problem", "Redirect"];
  assert.deepEqual(schemas.filter((name) => !(name in components.schemas)), []);
});

Deno.test("the profiles of the emulator are listed", async () => {
  const profiles = await (await setUp().ask("GET", "/v1/profiles")).json();
  assert.deepEqual(profiles, [{ name: "metro" }]);
});
