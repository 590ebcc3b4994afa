import assert from "node:assert/strict";
import { outlookOf } from "./outlook.ts";
import { measurement } from "./testing/measurements.ts";

const input = {
  waitingBytes: 2e6,
  forTheLinkBytes: 2e6,
  goodputBytesPerSecond: 10e6,
  dirtyMemoryBytesPerSecond: 0,
  dirtyDiskBytesPerSecond: 0,
  lossRatio: 0,
  appliedBytesPerSecond: 0,
  shortByMs: 0,
};
const pause = (parts: Partial<typeof input>, maxDowntimeMs = 300) =>
  outlookOf(measurement(0), { maxDowntimeMs }, { ...input, ...parts });

Deno.test("until the machine stands the link takes what waits for it", () => {
  // 1.1 of the 2 MB leave within 110 ms.
  assert.equal(Math.round(pause({}).forecast.wireBytes), 948_000);
  assert.equal(Math.round(pause({ waitingBytes: 500_000 }).forecast.wireBytes), 48_000);
});

Deno.test("a round of the disks that has not begun does not leave before the pause", () => {
  assert.equal(Math.round(pause({ forTheLinkBytes: 0 }).forecast.wireBytes), 2_048_000);
});

Deno.test("the machine writes on until it stands", () => {
  const more = pause({ dirtyMemoryBytesPerSecond: 4e6, dirtyDiskBytesPerSecond: 2e6 });
  assert.equal(Math.round(more.forecast.wireBytes - pause({}).forecast.wireBytes), 660_000);
});

Deno.test("errors of earlier forecasts take at most half of what the budget leaves", () => {
  assert.equal(pause({ shortByMs: 50 }).usableMs, 250);
  assert.equal(pause({ shortByMs: 5_000 }).usableMs, 195);
  assert.equal(pause({ shortByMs: 5_000 }, 60).usableMs, 60);
  assert.ok(pause({ shortByMs: 50 }).fitBytes < pause({}).fitBytes);
  assert.equal(
    pause({ shortByMs: 50 }).forecast.workMs,
    90,
    "the forecast is not the worse for it",
  );
});

Deno.test("a machine that stands still has no budget", () => {
  const paused = outlookOf(measurement(0, { isRunning: false }), { maxDowntimeMs: 300 }, input);
  assert.equal(paused.budgetMs, Infinity);
});
