import assert from "node:assert/strict";
import { checkAtGate } from "./gate.ts";
import { measurement, memory } from "./testing/measurements.ts";

const left = (remainingBytes: number) =>
  measurement(0, { memory: memory({ remainingBytes, wireRatio: 0.5, dirtyBytesPerSecond: 9e9 }) });

Deno.test("at the gate the time that has passed counts with what is left", () => {
  const { foundMs, isOver, rest } = checkAtGate(left(2e6), 10e6, 300, 50);
  // 1 MB and the device state at 10 MB/s, 90 ms of work, 50 ms gone.
  assert.equal(Math.round(foundMs), 245);
  assert.equal(Math.round(rest.transferMs), 105);
  assert.equal(isOver, false);
});

Deno.test("a pause that is found far too long is over, one that is a little too long is not", () => {
  assert.equal(checkAtGate(left(6e6), 10e6, 300, 50).isOver, false);
  assert.equal(checkAtGate(left(12e6), 10e6, 300, 50).isOver, true);
  assert.equal(checkAtGate(left(0), 10e6, 300, 500).isOver, true);
});
