import assert from "node:assert/strict";
import { measurement } from "../testing/measurements.ts";
import { entryAt, scheduledRate } from "./schedule.ts";

/** A Tuesday. */
const day = (hours: number, minutes = 0, days = 0) => Date.UTC(2024, 0, 2 + days, hours, minutes);
const night = { from: "22:00", until: "06:00", bytesPerSecond: null };
const office = { from: "08:00", until: "18:00", days: [1, 2, 3, 4, 5], bytesPerSecond: 1_000_000 };

Deno.test("the first entry that holds counts, and outside of all there is none", () => {
  const entries = [office, { ...office, bytesPerSecond: 5, days: undefined }, night];
  assert.equal(entryAt(entries, day(8)), office);
  assert.equal(entryAt(entries, day(17, 59)), office);
  assert.equal(entryAt(entries, day(18)), null);
  assert.equal(entryAt(entries, day(7, 59)), null);
  assert.equal(entryAt(entries, day(12, 0, 4))?.bytesPerSecond, 5, "on a Saturday");
});

Deno.test("an entry over midnight belongs to the day on which it began", () => {
  const monday = { ...night, days: [1] };
  assert.equal(entryAt([monday], day(23, 0, -1)), monday);
  assert.equal(entryAt([monday], day(5, 59)), monday);
  assert.equal(entryAt([monday], day(6)), null);
  assert.equal(entryAt([monday], day(23)), null, "Tuesday night");
});

Deno.test("an entry that ends as it begins holds for the whole day from then on", () => {
  const tuesday = { from: "12:00", until: "12:00", days: [2], bytesPerSecond: 7 };
  assert.equal(entryAt([tuesday], day(11, 59)), null);
  assert.equal(entryAt([tuesday], day(12)), tuesday);
  assert.equal(entryAt([tuesday], day(11, 59, 1)), tuesday);
  assert.equal(entryAt([tuesday], day(12, 0, 1)), null);
});

Deno.test("the cap follows the wall clock, and the pause has the same", () => {
  const rule = scheduledRate({ entries: [office] });
  const at = (wallMs: number) =>
    rule.decide({
      judgedMs: 0,
      measured: measurement(0, { wallMs }),
      appliedBytesPerSecond: 0,
      waitingBytes: 0,
      dirtyBytesPerSecond: null,
    });
  assert.equal(at(day(9)).bytesPerSecond, 1_000_000);
  assert.equal(at(day(9)).finalBytesPerSecond, 1_000_000);
  assert.match(at(day(9)).reason, /1\.0 MB\/s from 08:00 until 18:00 UTC/);
  assert.equal(at(day(19)).bytesPerSecond, null);
});
