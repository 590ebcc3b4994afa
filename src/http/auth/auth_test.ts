import assert from "node:assert/strict";
import type { GuestView } from "../../gateway/service.ts";
import { guestDefinition } from "../../guest/definition.ts";
import type { Role } from "../../security/roles.ts";
import { VirtualClock } from "../../testing/virtual_clock.ts";
import { createApp } from "../app.ts";
import { fakeService } from "../testing/fake_service.ts";
import { oneToken } from "../testing/one_token.ts";
import type { ServedAs } from "./expected_host.ts";
import { neededRole, ROUTE_ROLES, routesWithoutRole } from "./route_roles.ts";
import { STRICT_HEADERS } from "./strict_headers.ts";

const TOKEN = "a-token-of-the-site";

function setUp({ role = "admin", served }: { role?: Role; served?: ServedAs } = {}) {
  const fake = fakeService();
  const audited: [string, Record<string, unknown>][] = [];
  const app = createApp({
    service: fake.service,
    authorized: oneToken(TOKEN, role),
    clock: new VirtualClock(),
    log: () => {},
    processFigures: () => ({ residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 }),
    profiles: () => Promise.resolve([]),
    audit: (kind, body) => audited.push([kind, body]),
    served,
  });
  const ask = (
    method: string,
    path: string,
    headers: Record<string, string> = {},
    body?: unknown,
  ) =>
    app.request(path, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, ...headers },
      body: body === undefined ? undefined : JSON.stringify(body),
    }, { remoteAddr: { transport: "tcp", hostname: "192.0.2.7", port: 1 } });
  return { ...fake, app, ask, audited };
}

async function operations(): Promise<[string, { security?: unknown[]; "x-role"?: Role }][]> {
  const { paths } = await (await setUp().ask("GET", "/openapi.json")).json();
  return Object.entries(paths as Record<string, Record<string, never>>).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) =>
      [`${method.toUpperCase()} ${path}`, operation] as [string, never]
    )
  );
}

Deno.test("every route of the description has its role in the table, and none is there without one", async () => {
  const described = (await operations()).map(([route]) => route);
  // The description describes neither itself nor the page for people.
  const others = ["GET /", "GET /dashboard/{file}", "GET /openapi.json"];
  assert.deepEqual([...described, ...others].sort(), Object.keys(ROUTE_ROLES).sort());
  for (const [route, { security, "x-role": role }] of await operations()) {
    const needs = ROUTE_ROLES[route];
    assert.equal(role ?? null, needs, route);
    assert.equal(security?.length === 0, needs === null, `${route}: open or not`);
  }
  assert.deepEqual(routesWithoutRole(["GET /v1/guests/:id", "GET /v1/secrets"]), [
    "GET /v1/secrets",
  ]);
});

Deno.test("each role opens exactly the routes that need it or less, and the service hears of no other", async () => {
  const order: Role[] = ["read", "operate", "admin"];
  for (const role of order) {
    for (const [route, needs] of Object.entries(ROUTE_ROLES)) {
      const [method, path] = route.split(" ");
      const { ask, calls, audited } = setUp({ role });
      const answer = await ask(method, path.replace(/\{\w+\}/, "m-1"));
      await answer.body?.cancel();
      const isAllowed = needs === null || order.indexOf(role) >= order.indexOf(needs);
      assert.equal(answer.status === 403, !isAllowed, `${role}: ${route} gave ${answer.status}`);
      if (isAllowed) continue;
      assert.deepEqual(calls, [], route);
      assert.equal(audited[0][0], "role_refused");
    }
  }
});

Deno.test("a path is judged as it is routed, however it is written", async () => {
  assert.equal(neededRole("HEAD", "/v1/tokens"), "admin");
  assert.equal(neededRole("DELETE", "/v1/tokens/a%2Fb"), "admin");
  for (
    const path of ["/v1/tokens", "/v1/%74okens", "/v1/tokens/", "//v1/tokens", "/v1/x/../tokens"]
  ) {
    const { ask, calls } = setUp({ role: "operate" });
    const { status } = await ask("GET", path);
    assert.ok(status === 403 || status === 404, `${path}: ${status}`);
    assert.deepEqual(calls, [], path);
  }
});

Deno.test("a request that was to change something is in the audit with its token, address and outcome", async () => {
  const { ask, audited } = setUp();
  await ask("GET", "/v1/guests");
  await ask("POST", "/v1/plan", {}, { guest: "web", to: "east" });
  await ask("POST", "/v1/migrations/m-1/cancel");
  await ask("POST", "/v1/migrations", {}, { guest: "web" });
  const from = { token: "test", address: "192.0.2.7", method: "POST" };
  assert.deepEqual(audited, [
    ["request", { ...from, path: "/v1/migrations/m-1/cancel", status: 200 }],
    ["request", { ...from, path: "/v1/migrations", status: 422 }],
  ]);
});

Deno.test("arguments of a machine are shown to admins only", async () => {
  const definition = guestDefinition.parse({
    kind: "qemu",
    launch: { argv: ["qemu", "-object", "secret,id=s,data=hidden"], disks: [] },
  });
  for (const role of ["read", "operate", "admin"] as const) {
    const { service, ask } = setUp({ role });
    const view: GuestView = { ...await service.guest("web"), kind: "qemu", definition };
    service.guest = () => Promise.resolve(view);
    service.guests = () => Promise.resolve([view]);
    for (const path of ["/v1/guests", "/v1/guests/web"]) {
      const text = await (await ask("GET", path)).text();
      assert.equal(text.includes("hidden"), role === "admin", `${role}: ${path}`);
      assert.ok(text.includes('"qemu"'), "the program stays");
    }
  }
});

Deno.test("every answer has the strict headers, and none of CORS", async () => {
  const { app, ask } = setUp({ role: "read" });
  const answers = [
    await ask("GET", "/v1/guests"),
    await ask("GET", "/openapi.json"),
    await ask("GET", "/metrics"),
    await ask("GET", "/v1/migrations/m-1/events"),
    await ask("GET", "/v1/none"),
    await ask("PUT", "/v1/guests/web"),
    await ask("DELETE", "/v1/peers"),
    await ask("OPTIONS", "/v1/guests", {
      origin: "https://elsewhere.example",
      "access-control-request-method": "GET",
    }),
    await ask("GET", "/v1/guests", { host: "elsewhere.example" }),
    await app.request("/healthz", { headers: { origin: "https://elsewhere.example" } }),
    await app.request("/v1/guests"),
  ];
  for (const { headers, status, body } of answers) {
    await body?.cancel();
    for (const [name, value] of Object.entries(STRICT_HEADERS)) {
      assert.equal(headers.get(name), value, `${status}: ${name}`);
    }
    const cors = [...headers.keys()].filter((name) => name.startsWith("access-control-"));
    assert.deepEqual(cors, [], String(status));
  }
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 404, 403, 405, 405, 421, 200, 401],
  );
});

Deno.test("an API on loopback answers to names of loopback and of the configuration only", async () => {
  const loopback = { hostname: "127.0.0.1", names: ["Moves.example"] };
  const network = { hostname: "0.0.0.0", names: [] };
  const listed = { hostname: "192.0.2.1", names: ["moves.example"] };
  const cases: [ServedAs, string, boolean][] = [
    [loopback, "127.0.0.1:7421", true],
    [loopback, "127.0.0.1", true],
    [loopback, "localhost:7421", true],
    [loopback, "[::1]:7421", true],
    [loopback, "moves.example", true],
    [loopback, "rebound.example", false],
    [loopback, "rebound.example:7421", false],
    [loopback, "192.0.2.1:7421", false],
    [loopback, "127.0.0.1.rebound.example", false],
    [loopback, "", false],
    [network, "anything.example", true],
    [listed, "moves.example:443", true],
    [listed, "192.0.2.1:7421", true],
    [listed, "other.example", false],
  ];
  for (const [served, host, isGood] of cases) {
    const { ask, calls } = setUp({ served });
    const answer = await ask("GET", "/v1/peers", { host });
    assert.equal(answer.status, isGood ? 200 : 421, `${served.hostname}: ${host}`);
    assert.equal(calls.length, isGood ? 1 : 0);
  }
});

Deno.test("an event stream ends when its token does", async () => {
  const fake = fakeService();
  const end = new AbortController();
  const app = createApp({
    service: fake.service,
    authorized: () => ({
      caller: { id: "t", name: "t", role: "read", address: "", ended: end.signal },
    }),
    clock: new VirtualClock(),
    log: () => {},
    processFigures: () => ({ residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 }),
    profiles: () => Promise.resolve([]),
  });
  const { body } = await app.request("/v1/migrations/m-1/events");
  const reader = body!.getReader();
  assert.equal((await reader.read()).done, false);
  end.abort();
  assert.equal((await reader.read()).done, true);
  assert.equal(fake.listeners.size, 0);
});

Deno.test("a full page of the audit links to the one before it", async () => {
  const { ask } = setUp();
  const full = await ask("GET", "/v1/audit?limit=1&kind=x");
  assert.equal(full.headers.get("link"), '</v1/audit?limit=1&before=9&kind=x>; rel="next"');
  const last = await ask("GET", "/v1/audit?limit=2");
  assert.equal(last.headers.get("link"), null);
});
