import assert from "node:assert/strict";
import { Darkness } from "./pacer_darkness.ts";

Deno.test("Darkness ends when something is read again, and not for lack of something to read", () => {
  const darkness = new Darkness();
  const take = (sentBytes: number, readBytes: number, nowMs: number, estimate = 800) =>
    darkness.take(sentBytes, readBytes, estimate, 250, nowMs);
  assert.equal(take(1_000, 500, 0), false);
  assert.equal(take(1_500, 500, 2_000, 80), false);
  assert.equal(darkness.floorBytesPerSecond, 100);
  assert.equal(take(1_500, 1_500, 2_020), true);
  assert.equal(take(1_500, 1_500, 9_000), false);
  assert.equal(take(2_000, 2_000, 9_100), false);
});

Deno.test("Darkness is not what a program slept through", () => {
  const darkness = new Darkness();
  darkness.take(1_000, 500, 800, 250, 0);
  darkness.resume(8_000);
  assert.equal(darkness.take(1_500, 1_500, 800, 250, 8_020), false);
});
