import assert from "node:assert/strict";
import fc from "fast-check";
import {
  decideSwitch,
  overBudgetAtGate,
  predictDowntime,
  type SwitchMeasurement,
} from "./convergence.ts";

const calm: SwitchMeasurement = {
  memoryRemainingBytes: 0,
  firstPass: false,
  parkedWireBytes: 0,
  diskDirtyBytes: 0,
  memoryWireRatio: 0.5,
  diskWireRatio: 0.5,
  goodputBytesPerSecond: 10_000_000,
  roundTripMs: 100,
};

Deno.test("a clean machine on a fast path switches, whatever the path's delay", () => {
  assert.equal(decideSwitch(calm, 300).action, "switch");
  assert.equal(decideSwitch({ ...calm, roundTripMs: 600 }, 300).action, "switch");
});

Deno.test("what still has to cross is weighed by its ratio and the measured goodput", () => {
  // 8 MB of memory at a ratio of 0.5 take 400 ms at 10 MB/s.
  const busy = { ...calm, memoryRemainingBytes: 8_000_000 };
  assert.equal(decideSwitch(busy, 300).action, "wait");
  assert.equal(decideSwitch(busy, 600).action, "switch");
  assert.equal(decideSwitch({ ...busy, goodputBytesPerSecond: 50_000_000 }, 300).action, "switch");
  assert.ok(predictDowntime(busy).transferMs >= 400);
});

Deno.test("a machine that stands still has no pause to keep short", () => {
  const slow = { ...calm, parkedWireBytes: 50_000_000 };
  assert.equal(decideSwitch(slow, 300).action, "wait");
  assert.equal(decideSwitch(slow, Infinity).action, "switch");
  assert.equal(decideSwitch({ ...slow, firstPass: true }, Infinity).action, "wait");
});

Deno.test("the first pass over memory never switches", () => {
  assert.equal(decideSwitch({ ...calm, firstPass: true }, 10_000).action, "wait");
  assert.equal(decideSwitch({ ...calm, memoryRemainingBytes: null }, 10_000).action, "wait");
});

Deno.test("more to send never makes the forecast shorter", () => {
  const bytes = fc.nat(1_000_000_000);
  fc.assert(fc.property(bytes, bytes, bytes, bytes, (memory, disk, parked, more) => {
    const measured = {
      ...calm,
      memoryRemainingBytes: memory,
      diskDirtyBytes: disk,
      parkedWireBytes: parked,
    };
    const before = predictDowntime(measured).downtimeMs;
    assert.ok(
      predictDowntime({ ...measured, memoryRemainingBytes: memory + more }).downtimeMs >= before,
    );
    assert.ok(predictDowntime({ ...measured, diskDirtyBytes: disk + more }).downtimeMs >= before);
    assert.ok(
      predictDowntime({ ...measured, parkedWireBytes: parked + more }).downtimeMs >= before,
    );
  }));
});

Deno.test("a switch found far over its budget at the gate is undone, one near it is not", () => {
  const remaining = predictDowntime(calm);
  assert.equal(overBudgetAtGate(100, remaining, 300), false);
  assert.equal(overBudgetAtGate(2000, remaining, 300), true);
});
