import assert from "node:assert/strict";
import fc from "fast-check";
import { type Segment, TimelineCursor } from "./timeline.ts";

Deno.test("TimelineCursor finds the same segment whatever it was asked before", () => {
  const cuts = fc.uniqueArray(fc.integer({ min: 1, max: 999 }), { maxLength: 6 });
  const times = fc.array(fc.double({ min: 0, max: 5000, noNaN: true }), { maxLength: 30 });
  fc.assert(fc.property(cuts, times, fc.boolean(), (cuts, times, periodic) => {
    const starts = [0, ...cuts.sort((a, b) => a - b)];
    const segments = starts.map((startMs, index) => ({
      startMs,
      endMs: starts[index + 1] ?? (periodic ? 1000 : Infinity),
    })) as unknown as Segment[];
    const cursor = new TimelineCursor(segments, periodic ? 1000 : null);
    for (const timeMs of times) {
      const localMs = periodic ? timeMs % 1000 : timeMs;
      const expected = segments.find((s) => s.startMs <= localMs && localMs < s.endMs);
      assert.equal(cursor.at(timeMs), expected);
      const endMs = cursor.endMsOf(timeMs);
      assert(endMs > timeMs);
    }
  }));
});
