import assert from "node:assert/strict";
import { GoodputMeter } from "./goodput.ts";

Deno.test("a steady rate is measured as it is, from the start and after a pause", () => {
  const meter = new GoodputMeter();
  assert.equal(meter.bytesPerSecond(0), null);
  const run = (fromMs: number, untilMs: number) => {
    for (let nowMs = fromMs; nowMs < untilMs; nowMs += 10) meter.add(10_000, nowMs);
  };
  run(12_345, 12_845);
  assert.ok(Math.abs(meter.bytesPerSecond(12_845)! / 1e6 - 1) < 0.03);
  run(12_845, 20_000);
  assert.ok(Math.abs(meter.bytesPerSecond(20_000)! / 1e6 - 1) < 0.03);
  assert.equal(meter.bytesPerSecond(21_000), 0, "nothing for a second");
  run(60_000, 62_000);
  assert.ok(Math.abs(meter.bytesPerSecond(62_000)! / 1e6 - 1) < 0.03);
});

Deno.test("one burst is not taken for a rate of thousands of times itself", () => {
  const meter = new GoodputMeter();
  meter.add(1_000_000, 500);
  assert.ok(meter.bytesPerSecond(501)! <= 5_000_000);
});
