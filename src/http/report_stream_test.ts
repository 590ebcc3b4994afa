import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { KEEP_ALIVE_MS, reportStream } from "./report_stream.ts";
import { fakeService, sampleReport } from "./testing/fake_service.ts";

function open(closing?: AbortSignal) {
  const fake = fakeService();
  const clock = new VirtualClock();
  const reader = reportStream(fake.service, "m-1", clock, closing).getReader();
  const next = async () => {
    const { value, done } = await reader.read();
    return done ? null : new TextDecoder().decode(value);
  };
  return { ...fake, clock, reader, next };
}

/** Names of the events in a chunk, with the phase of each report. */
function events(chunk: string | null): string[] {
  return [...(chunk ?? "").matchAll(/^event: (\w+)\ndata: (.*)$/gm)].map(([, name, data]) => {
    const { phase, state } = JSON.parse(data);
    return `${name} ${phase ?? state}`;
  });
}

Deno.test("the present report comes at once, later ones as they are made", async () => {
  const { next, publish } = open();
  const first = await next();
  assert.ok(first!.startsWith("retry: "));
  assert.deepEqual(events(first), [`report ${sampleReport().phase}`]);
  const waiting = next();
  publish(sampleReport({ phase: "second" }));
  assert.deepEqual(events(await waiting), ["report second"]);
});

Deno.test("a reader that lags gets the newest report and none of those between", async () => {
  const { next, publish } = open();
  await next();
  for (let n = 0; n < 1_000; n++) publish(sampleReport({ phase: `p${n}` }));
  assert.deepEqual(events(await next()), ["report p999"]);
});

Deno.test("an ended migration closes its stream with an end", async () => {
  const { next, publish, listeners } = open();
  await next();
  publish(sampleReport({ phase: "done", state: "completed" }));
  assert.deepEqual(events(await next()), ["report done", "end completed"]);
  assert.equal(await next(), null);
  assert.equal(listeners.size, 0);
});

Deno.test("a silent migration keeps its connection alive with comments", async () => {
  const { next, clock } = open();
  await next();
  for (let n = 0; n < 3; n++) {
    const waiting = next();
    await clock.advance(KEEP_ALIVE_MS);
    assert.equal(await waiting, ": still here\n\n");
  }
});

Deno.test("a client that leaves and a gateway that stops leave no listener behind", async () => {
  const left = open();
  await left.next();
  await left.reader.cancel();
  assert.equal(left.listeners.size, 0);

  const stopping = new AbortController();
  const stopped = open(stopping.signal);
  await stopped.next();
  const waiting = stopped.next();
  stopping.abort();
  assert.equal(await waiting, null);
  assert.equal(stopped.listeners.size, 0);
});

Deno.test("an unknown migration is refused before a stream exists", () => {
  const { service } = fakeService();
  assert.throws(
    () => reportStream(service, "m-2", new VirtualClock()),
    { code: "migration_unknown" },
  );
});
