import assert from "node:assert/strict";
import type { GatewayService } from "../gateway/service.ts";
import { systemClock } from "../host/system_clock.ts";
import { createApp } from "./app.ts";
import { fakeService } from "./testing/fake_service.ts";
import { oneToken } from "./testing/one_token.ts";

function appOf(service: GatewayService, logged: string[]) {
  return createApp({
    service,
    authorized: oneToken("x"),
    clock: systemClock(),
    log: (level, message) => logged.push(`${level} ${message}`),
    processFigures: () => ({ residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 }),
    profiles: () => Promise.resolve([]),
  });
}

Deno.test("a client that hangs up ends its plan, which is no defect of the gateway", async () => {
  const asked = Promise.withResolvers<void>();
  const hungUp = Promise.withResolvers<void>();
  const { service } = fakeService({
    async plan(_request, signal) {
      signal.addEventListener("abort", () => hungUp.resolve());
      asked.resolve();
      await hungUp.promise;
      throw signal.reason;
    },
  });
  const logged: string[] = [];
  const app = appOf(service, logged);
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    app.fetch,
  );
  const caller = new AbortController();
  const answer = fetch(`http://127.0.0.1:${server.addr.port}/v1/plan`, {
    method: "POST",
    signal: caller.signal,
    headers: { authorization: "Bearer x", "content-type": "application/json" },
    body: JSON.stringify({ guest: "web", to: "east" }),
  });
  await asked.promise;
  caller.abort();
  await assert.rejects(answer);
  await hungUp.promise;
  assert.deepEqual(logged, []);
});

Deno.test("a plan is asked for with its wishes, and hears of whoever hangs up", async () => {
  const { service, calls } = fakeService();
  const app = appOf(service, []);
  const ask = async (body: unknown) =>
    await app.request("/v1/plan", {
      method: "POST",
      headers: { authorization: "Bearer x", "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  const wishes = { guest: "web", to: "east", strategy: "precopy", whenOver: ["ask"] };
  assert.equal((await ask(wishes)).status, 200);
  const [name, request, signal] = calls.at(-1)!;
  assert.equal(name, "plan");
  assert.deepEqual(request, { ...wishes, seconds: 4, maxDowntimeMs: 300, rate: null });
  assert.ok(signal instanceof AbortSignal);
  for (const wrong of [{ seconds: 0 }, { seconds: 61 }, { strategy: "fly" }, { hold: true }]) {
    const answer = await ask({ guest: "web", to: "east", ...wrong });
    assert.equal(answer.status, 422, JSON.stringify(wrong));
  }
});
