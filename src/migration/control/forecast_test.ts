import assert from "node:assert/strict";
import fc from "fast-check";
import {
  bytesThatFit,
  DEVICE_STATE_WIRE_BYTES,
  forecastDowntime,
  type ForecastInput,
  gateLimitMs,
  overBudgetAtGate,
} from "./forecast.ts";

const idle: ForecastInput = {
  waitingBytes: 0,
  goodputBytesPerSecond: 10_000_000,
  handoverWorkMs: 90,
  roundTripMs: 100,
  lossRatio: 0,
};

Deno.test("a pause is transfer, work and the way, and the budget sees the first two", () => {
  const forecast = forecastDowntime({ ...idle, waitingBytes: 2_000_000 });
  assert.equal(forecast.wireBytes, 2_000_000 + DEVICE_STATE_WIRE_BYTES);
  assert.ok(Math.abs(forecast.transferMs - 204.8) < 1e-9);
  assert.equal(forecast.workMs, 90);
  assert.equal(forecast.pathMs, 50);
  assert.equal(forecast.budgetedMs, forecast.transferMs + forecast.workMs);
  assert.equal(forecast.downtimeMs, forecast.budgetedMs + forecast.pathMs);
});

Deno.test("the path's delay is not held against the budget", () => {
  const near = forecastDowntime({ ...idle, roundTripMs: 2 });
  const far = forecastDowntime({ ...idle, roundTripMs: 600 });
  assert.equal(near.budgetedMs, far.budgetedMs);
  assert.equal(far.downtimeMs - near.downtimeMs, 299);
  assert.equal(forecastDowntime({ ...idle, roundTripMs: null }).pathMs, 0);
});

Deno.test("a path that is likely to lose a packet of it takes a round trip more, off the budget", () => {
  const waitingBytes = 500_000;
  const clean = forecastDowntime({ ...idle, waitingBytes });
  const lossy = forecastDowntime({ ...idle, waitingBytes, lossRatio: 0.01 });
  assert.equal(lossy.budgetedMs, clean.budgetedMs);
  // 110 ms after the loss, less what the source has to do meanwhile in any case.
  assert.ok(lossy.downtimeMs - clean.downtimeMs > 45);
  assert.ok(lossy.downtimeMs - clean.downtimeMs <= 65);
  assert.equal(lossy.downtimeMs, lossy.budgetedMs + lossy.pathMs);
});

Deno.test("more to send, or a slower link, never makes the forecast shorter", () => {
  const bytes = fc.nat(1e9);
  fc.assert(fc.property(bytes, bytes, fc.integer({ min: 1, max: 1e9 }), (waiting, more, rate) => {
    const forecast = (waitingBytes: number, goodputBytesPerSecond: number) =>
      forecastDowntime({ ...idle, waitingBytes, goodputBytesPerSecond }).budgetedMs;
    assert.ok(forecast(waiting + more, rate) >= forecast(waiting, rate));
    assert.ok(forecast(waiting, rate) >= forecast(waiting, rate + more));
  }));
});

Deno.test("bytes that just fit make a pause as long as the budget", () => {
  fc.assert(fc.property(fc.integer({ min: 150, max: 5_000 }), (budgetMs) => {
    const waitingBytes = bytesThatFit(budgetMs, idle);
    const { budgetedMs } = forecastDowntime({ ...idle, waitingBytes });
    assert.ok(Math.abs(budgetedMs - budgetMs) < 1e-6);
  }));
  assert.ok(bytesThatFit(90, idle) < 0, "the work alone uses the budget up");
});

Deno.test("a switch found far over its budget at the gate is undone, one near it is not", () => {
  const rest = forecastDowntime(idle);
  assert.equal(overBudgetAtGate(100, rest, 300), false);
  assert.equal(overBudgetAtGate(2000, rest, 300), true);
  assert.equal(overBudgetAtGate(gateLimitMs(300) - rest.budgetedMs, rest, 300), false);
});
