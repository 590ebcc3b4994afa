import assert from "node:assert/strict";
import fc from "fast-check";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { Alarm } from "./alarm.ts";

Deno.test("an alarm rings at or before every time that it was set to", async () => {
  const settings = fc.array(
    fc.record({ afterMs: fc.nat(50), dueInMs: fc.nat(200) }, { noNullPrototype: true }),
    { minLength: 1, maxLength: 30 },
  );
  await fc.assert(
    fc.asyncProperty(settings, async (settings) => {
      const clock = new VirtualClock();
      const waiting: number[] = [];
      const alarm = new Alarm(clock, () => {
        // What is due is done; for the rest it is set again, as its user does.
        const nowMs = clock.nowMs();
        for (let i = waiting.length - 1; i >= 0; i--) if (waiting[i] <= nowMs) waiting.splice(i, 1);
        if (waiting.length > 0) alarm.set(Math.min(...waiting));
      });
      for (const { afterMs, dueInMs } of settings) {
        await clock.advance(afterMs);
        assert(waiting.every((dueMs) => dueMs > clock.nowMs()));
        waiting.push(clock.nowMs() + dueInMs);
        alarm.set(Math.min(...waiting));
      }
      await clock.advance(200);
      assert.deepEqual(waiting, []);
    }),
    { numRuns: 50 },
  );
});

Deno.test("an alarm that was set to a later time as well rings for the earlier one only once", async () => {
  const clock = new VirtualClock();
  const rungAtMs: number[] = [];
  const alarm = new Alarm(clock, () => rungAtMs.push(clock.nowMs()));
  alarm.set(Infinity);
  alarm.set(30);
  alarm.set(10);
  alarm.set(20);
  alarm.set(10);
  await clock.advance(100);
  assert.deepEqual(rungAtMs, [10, 30]);
});

Deno.test("a stopped alarm never rings", async () => {
  const clock = new VirtualClock();
  let rings = 0;
  const alarm = new Alarm(clock, () => rings++);
  alarm.set(10);
  alarm.stop();
  alarm.set(20);
  await clock.advance(100);
  assert.equal(rings, 0);
});
