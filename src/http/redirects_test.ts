import assert from "node:assert/strict";
import { systemClock } from "../host/system_clock.ts";
import { createApp } from "./app.ts";
import { fakeService } from "./testing/fake_service.ts";
import { oneToken } from "./testing/one_token.ts";

const TOKEN = "a-token-of-the-site";

Deno.test("the answer to a redirect's question reaches the service, and a bad one does not", async () => {
  const { service, calls } = fakeService();
  const app = createApp({
    service,
    authorized: oneToken(TOKEN),
    clock: systemClock(),
    log: () => {},
    processFigures: () => ({
      residentBytes: 1,
      heapBytes: 1,
      cpuSeconds: 1,
      startedAtSeconds: 1,
    }),
    profiles: () => Promise.resolve([]),
  });
  const answer = (body: unknown) =>
    app.request("/v1/redirects/m-1/answer", {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify(body),
    });
  for (const body of [{}, { keep: "yes" }, { keep: true, forever: true }]) {
    assert.equal((await answer(body)).status, 422);
  }
  assert.equal((await answer({ keep: false, by: "night shift" })).status, 204);
  assert.equal((await answer({ keep: true })).status, 204);
  const heard = calls.filter(([name]) => name === "answerRedirect");
  assert.deepEqual(heard, [
    ["answerRedirect", "m-1", { keep: false, by: "night shift" }],
    ["answerRedirect", "m-1", { keep: true, by: "operator" }],
  ]);
});
