import assert from "node:assert/strict";
import { LeadTime, leadWithMargin } from "./lead.ts";
import { measurement, memory } from "./testing/measurements.ts";

Deno.test("memory is expected to take one copy of it, and some round trips", () => {
  // 256 MB at 0.45 over 10 MB/s, and four times 100 ms.
  assert.equal(Math.round(new LeadTime().ofStart(measurement(0), 10e6)), 11_920);
});

Deno.test("what an earlier copy has shown counts", () => {
  const lead = new LeadTime();
  lead.learn(
    measurement(0, { memory: memory({ pass: 1, readBytes: 100e6, wireRatio: 0.1 }) }),
    null,
  );
  const quick = lead.ofStart(measurement(0), 10e6);
  assert.equal(Math.round(quick), 2_960);
  // Later passes are differences, and say how much the machine writes.
  lead.learn(measurement(0, { memory: memory({ wireRatio: 0.9 }) }), 5e6);
  assert.equal(Math.round(lead.ofStart(measurement(0), 10e6)), 5_520);
});

Deno.test("a machine that writes more than the link carries has a lead time all the same", () => {
  const lead = new LeadTime();
  lead.learn(measurement(0), 50e6);
  assert.ok(Number.isFinite(lead.ofStart(measurement(0), 10e6)));
});

Deno.test("memory starts earlier than it is expected to need", () => {
  assert.equal(leadWithMargin(60_000), 85_000);
});
