import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { probe, probeText } from "./probes.ts";
import { ReachWatch } from "./reach_watch.ts";

const PROBES = [{ kind: "tcp", port: 22 }, { kind: "http", port: 80, path: "/up" }] as const;
const ADDRESSES = [{ ip: "10.1.0.5" }];
const SSH = "tcp 10.1.0.5:22";
const WEB = "http://10.1.0.5:80/up";

/** A machine whose ports answer from a moment on. */
function machine(clock: VirtualClock, answersFromMs: Record<string, number>) {
  const asked: string[] = [];
  const watch = new ReachWatch(ADDRESSES, PROBES, clock, (ip, settings) => {
    const text = probeText(ip, settings);
    asked.push(text);
    return Promise.resolve(clock.nowMs() >= answersFromMs[text]);
  });
  return { watch, asked };
}

Deno.test("the blackout lasts until the last probe that was answered before is answered again", async () => {
  const clock = new VirtualClock();
  const { watch } = machine(clock, { [SSH]: 120, [WEB]: 430 });
  const waiting = watch.wait(new Promise(() => {}), new AbortController().signal);
  await clock.advance(1_000);
  const { waitedMs, reached, missing } = (await waiting)!;
  assert.deepEqual({ reached, missing }, { reached: true, missing: [] });
  assert.ok(waitedMs >= 430 && waitedMs <= 480, `${waitedMs}`);
});

Deno.test("what does not answer before the move is not waited for after it", async () => {
  const clock = new VirtualClock();
  const { watch, asked } = machine(clock, { [SSH]: Infinity, [WEB]: 0 });
  assert.deepEqual(await watch.baseline(), [SSH]);
  asked.length = 0;
  const seen = await watch.wait(new Promise(() => {}), new AbortController().signal);
  assert.equal(seen!.reached, true);
  assert.deepEqual([...new Set(asked)], [WEB]);
  const silent = machine(clock, { [SSH]: Infinity, [WEB]: Infinity }).watch;
  await silent.baseline();
  assert.equal(await silent.wait(Promise.resolve(), new AbortController().signal), null);
});

Deno.test("after the limit it is told what was not answered, and nothing more is asked", async () => {
  const clock = new VirtualClock();
  const { watch, asked } = machine(clock, { [SSH]: 0, [WEB]: Infinity });
  const waiting = watch.wait(clock.sleep(5_000), new AbortController().signal);
  await clock.advance(5_000);
  const { reached, missing } = (await waiting)!;
  assert.deepEqual({ reached, missing }, { reached: false, missing: [WEB] });
  const before = asked.length;
  await clock.advance(1_000);
  assert.equal(asked.length, before);
});

Deno.test("probes ask real servers: a port that listens, a page that answers, and nothing else", async () => {
  const ended = new AbortController();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, signal: ended.signal, onListen: () => {} },
    (request) => new Response("", { status: new URL(request.url).pathname === "/up" ? 404 : 500 }),
  );
  const { port } = server.addr;
  try {
    const http = (path: string) => probe("127.0.0.1", { kind: "http", port, path }, 2_000);
    assert.equal(await probe("127.0.0.1", { kind: "tcp", port }, 2_000), true);
    assert.deepEqual([await http("/up"), await http("/down")], [true, false]);
  } finally {
    ended.abort();
    await server.finished;
  }
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port: silent } = listener.addr;
  assert.equal(await probe("127.0.0.1", { kind: "http", port: silent, path: "/" }, 100), false);
  assert.equal(await probe("127.0.0.1", { kind: "tcp", port }, 500), false);
});
