import assert from "node:assert/strict";
import { Flows, lookSpan } from "./flow.ts";
import { measurement, memory } from "./testing/measurements.ts";

/** A machine that adds and a link that takes away, at these wire rates, seen ten times a second. */
function watch(
  flows: Flows,
  { fromMs = 0, untilMs, dirty, carried, startBytes, passMs = 100 }: {
    fromMs?: number;
    untilMs: number;
    dirty: number;
    carried: number;
    startBytes: number;
    passMs?: number;
  },
): void {
  for (let atMs = fromMs; atMs <= untilMs; atMs += 100) {
    const seconds = (atMs - fromMs) / 1000;
    const pass = 3 + Math.floor(atMs / passMs);
    const measured = measurement(atMs, {
      memory: memory({ pass }),
      appliedWireBytes: fromMs * 1000 + carried * seconds,
    });
    flows.advance(atMs, measured);
    // Between two passes the machine's account falls as it is read, and says nothing of writes.
    const unseen = passMs <= 100 ? 0 : dirty * (atMs % passMs) / 1000;
    const remaining = startBytes + (dirty - carried) * seconds - unseen;
    flows.observe(atMs, measured, remaining, remaining);
  }
}

Deno.test("what the machine adds is what remains more, and what was applied", () => {
  const flows = new Flows();
  watch(flows, { untilMs: 6_000, dirty: 3e6, carried: 2e6, startBytes: 50e6 });
  const flow = flows.over(3_000, 12_000)!;
  assert.ok(Math.abs(flow.dirtyBytesPerSecond - 3e6) < 1e4);
  assert.ok(Math.abs(flow.carriedBytesPerSecond - 2e6) < 1e4);
  assert.ok(flow.laterLowBytes > flow.earlierLowBytes);
  assert.equal(flow.isSaturated, true);
  assert.ok(Math.abs(flows.appliedBytesPerSecond - 2e6) < 1e4);
});

Deno.test("long passes count at their beginnings, where the machine's account is fresh", () => {
  const flows = new Flows();
  watch(flows, { untilMs: 9_900, dirty: 3e6, carried: 2e6, startBytes: 50e6, passMs: 4_000 });
  const flow = flows.over(3_000, 12_000)!;
  // At 0, 4 and 8 s; the 1.9 s after that are not known yet.
  assert.equal(flow.spanMs, 8_000);
  assert.ok(Math.abs(flow.dirtyBytesPerSecond - 3e6) < 1e4);
});

Deno.test("too short a look says nothing, and a restart begins anew", () => {
  const flows = new Flows();
  watch(flows, { untilMs: 2_000, dirty: 3e6, carried: 2e6, startBytes: 50e6 });
  assert.equal(flows.over(3_000, 12_000), null);
  watch(flows, { fromMs: 2_100, untilMs: 6_000, dirty: 3e6, carried: 2e6, startBytes: 50e6 });
  assert.notEqual(flows.over(3_000, 12_000), null);
  flows.restart();
  assert.equal(flows.over(0, 12_000), null);
});

Deno.test("the first pass says nothing of what the machine writes", () => {
  const flows = new Flows();
  for (let atMs = 0; atMs <= 10_000; atMs += 100) {
    const measured = measurement(atMs, { memory: memory({ pass: 1 }) });
    flows.advance(atMs, measured);
    flows.observe(atMs, measured, 1e6, 1e6);
  }
  assert.equal(flows.over(1_000, 12_000), null);
});

Deno.test("a queue that ran empty was not all that the link carries", () => {
  const flows = new Flows();
  watch(flows, { untilMs: 8_000, dirty: 0, carried: 1e6, startBytes: 4e6 });
  assert.equal(flows.over(3_000, 12_000)!.isSaturated, false);
});

Deno.test("far paths and long moves are looked at for longer", () => {
  assert.deepEqual(lookSpan(100, 10_000), { leastMs: 3_000, mostMs: 12_000 });
  assert.equal(lookSpan(2_000, 0).leastMs, 8_000);
  assert.equal(lookSpan(100, 300_000).mostMs, 30_000);
  assert.equal(lookSpan(100, 1e9).mostMs, 60_000);
});
