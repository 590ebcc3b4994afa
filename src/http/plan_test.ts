import assert from "node:assert/strict";
import { systemClock } from "../host/system_clock.ts";
import { createApp } from "./app.ts";
import { fakeService } from "./testing/fake_service.ts";

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
  const app = createApp({
    service,
    authorized: () => true,
    clock: systemClock(),
    log: (level, message) => logged.push(`${level} ${message}`),
    processFigures: () => ({ residentBytes: 1, heapBytes: 1, cpuSeconds: 1, startedAtSeconds: 1 }),
    profiles: () => Promise.resolve([]),
  });
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
