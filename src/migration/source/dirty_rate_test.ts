import assert from "node:assert/strict";
import { DirtyRate } from "./dirty_rate.ts";

Deno.test("a steady writer is measured across rounds that set the count back", () => {
  const rate = new DirtyRate();
  let dirtyBytes = 0;
  for (let ms = 0; ms <= 8_000; ms += 100) {
    rate.take(dirtyBytes, ms);
    dirtyBytes = ms % 1_700 === 0 ? 0 : dirtyBytes;
    dirtyBytes += 1_000;
  }
  assert.ok(Math.abs(rate.bytesPerSecond! - 10_000) < 500, `${rate.bytesPerSecond}`);
});

Deno.test("nothing is known before a second has passed", () => {
  const rate = new DirtyRate();
  rate.take(0, 0);
  rate.take(1_000, 900);
  assert.equal(rate.bytesPerSecond, null);
});

Deno.test("what was written long ago is forgotten", () => {
  const rate = new DirtyRate();
  rate.take(0, 0);
  rate.take(1_000_000, 1_000);
  for (let ms = 1_100; ms <= 7_000; ms += 100) rate.take(1_000_000, ms);
  assert.equal(rate.bytesPerSecond, 0);
});
