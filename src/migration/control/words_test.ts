import assert from "node:assert/strict";
import { shownBytes, shownMoment, shownRate, shownTime, whole } from "./words.ts";

Deno.test("numbers in reasons have at most three digits and a unit", () => {
  assert.equal(shownBytes(0), "0.0 kB");
  assert.equal(shownBytes(48_000), "48 kB");
  assert.equal(shownBytes(999_600), "1.0 MB");
  assert.equal(shownBytes(12_345_678), "12 MB");
  assert.equal(shownBytes(4.25e9), "4.3 GB");
  assert.equal(shownRate(2_500_000), "2.5 MB/s");
});

Deno.test("times are in the unit that people think in", () => {
  assert.equal(shownTime(290.4), "290 ms");
  assert.equal(shownTime(12_400), "12 s");
  assert.equal(shownTime(150_000), "3 min");
});

Deno.test("a moment names its day only where it is another one", () => {
  const now = Date.UTC(2024, 4, 6, 23, 50);
  assert.equal(shownMoment(Date.UTC(2024, 4, 6, 23, 59), now), "23:59 UTC");
  assert.equal(shownMoment(Date.UTC(2024, 4, 7, 0, 5), now), "2024-05-07 00:05 UTC");
});

Deno.test("what is unknown or without end is null in a record", () => {
  assert.equal(whole(1.6), 2);
  assert.equal(whole(null), null);
  assert.equal(whole(Infinity), null);
});
