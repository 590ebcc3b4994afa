import assert from "node:assert/strict";
import { shownPath } from "./shown_path.ts";

Deno.test("shownPath() gives whole milliseconds and bytes, and leaves ratios and nulls alone", () => {
  assert.deepEqual(
    shownPath({
      roundTripMs: 11.99,
      minRoundTripMs: 5.2,
      bottleneckBytesPerSecond: 1e6 + 0.4,
      goodputBytesPerSecond: null,
      lossRatio: 0.0123,
      queueMs: 3.6,
      jitterMs: 0.7,
      silentMs: 0.2,
    }),
    {
      roundTripMs: 12,
      minRoundTripMs: 5,
      bottleneckBytesPerSecond: 1e6,
      goodputBytesPerSecond: null,
      lossRatio: 0.0123,
      queueMs: 4,
      jitterMs: 1,
      silentMs: 0,
    },
  );
});
