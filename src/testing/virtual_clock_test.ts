import assert from "node:assert/strict";
import { VirtualClock } from "./virtual_clock.ts";

Deno.test("sleepers wake in order of time, then of falling asleep", async () => {
  const clock = new VirtualClock();
  const woken: string[] = [];
  const sleeper = async (name: string, ms: number) => {
    await clock.sleep(ms);
    woken.push(`${name} at ${clock.nowMs()}`);
  };
  void sleeper("c", 20);
  void sleeper("a", 10);
  void sleeper("b", 10);
  await clock.advance(15);
  assert.deepEqual(woken, ["a at 10", "b at 10"]);
  assert.equal(clock.nowMs(), 15);
  await clock.advance(5);
  assert.deepEqual(woken.at(-1), "c at 20");
  assert.equal(clock.wallMs(), Date.UTC(2024, 0, 1) + 20);
});

Deno.test("what a woken sleeper starts is done before time goes on", async () => {
  const clock = new VirtualClock();
  const times: number[] = [];
  const chain = async () => {
    for (let i = 0; i < 3; i++) {
      await clock.sleep(1);
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
      times.push(clock.nowMs());
    }
  };
  await clock.until(Promise.all([chain(), clock.sleep(1.5)]));
  assert.deepEqual(times, [1, 2, 3]);
});

Deno.test("a wait ends with AbortError as soon as its signal aborts", async () => {
  const clock = new VirtualClock();
  const stop = new AbortController();
  const aborted = assert.rejects(clock.sleep(1_000, stop.signal), { name: "AbortError" });
  await clock.advance(10);
  stop.abort();
  await aborted;
  assert.equal(clock.nowMs(), 10);
  await assert.rejects(clock.sleep(1, AbortSignal.abort()), { name: "AbortError" });
});

Deno.test("a promise that can never settle is told instead of waited for", async () => {
  const clock = new VirtualClock();
  await assert.rejects(clock.until(new Promise(() => {})), /still pending/);
  const endless = (async () => {
    for (;;) await clock.sleep(1_000);
  })();
  await assert.rejects(clock.until(endless, 10_000), /still pending after 10000 ms/);
});
