import assert from "node:assert/strict";
import fc from "fast-check";
import type { SchedulePolicy } from "../migration/control/wishes.ts";
import { scheduledCap } from "./link_schedule.ts";

type Entry = SchedulePolicy["entries"][number];

const capAt = (entries: Entry[], time: string) => scheduledCap({ entries }, Date.parse(time));

Deno.test("an entry holds from its first minute until the one before its end", () => {
  const entries = [{ from: "08:00", until: "18:00", bytesPerSecond: 5 }];
  const cases: [string, number | null][] = [
    ["2026-01-01T07:59:59.999Z", null],
    ["2026-01-01T08:00:00Z", 5],
    ["2026-01-01T17:59:59.999Z", 5],
    ["2026-01-01T18:00:00Z", null],
    // The same moment as 08:00 UTC.
    ["2026-01-01T10:00:00+02:00", 5],
    ["1969-12-31T09:00:00Z", 5],
  ];
  for (const [time, cap] of cases) assert.equal(capAt(entries, time), cap, time);
});

Deno.test("a night belongs to the day on which it begins", () => {
  // 2 January 2026 is a Friday.
  const entries = [{ from: "22:00", until: "06:00", days: [5], bytesPerSecond: 5 }];
  const cases: [string, number | null][] = [
    ["2026-01-02T05:00:00Z", null],
    ["2026-01-02T22:00:00Z", 5],
    ["2026-01-03T05:59:00Z", 5],
    ["2026-01-03T06:00:00Z", null],
    ["2026-01-03T23:00:00Z", null],
  ];
  for (const [time, cap] of cases) assert.equal(capAt(entries, time), cap, time);
});

Deno.test("the first entry that holds counts, and one without a cap is one", () => {
  const entries = [
    { from: "12:00", until: "13:00", bytesPerSecond: null },
    { from: "08:00", until: "18:00", bytesPerSecond: 5 },
    { from: "00:00", until: "00:00", days: [0, 6], bytesPerSecond: 7 },
  ];
  const cases: [string, number | null][] = [
    ["2026-01-02T12:30:00Z", null],
    ["2026-01-02T13:00:00Z", 5],
    ["2026-01-02T19:00:00Z", null],
    ["2026-01-03T19:00:00Z", 7],
    ["2026-01-04T23:59:00Z", 7],
  ];
  for (const [time, cap] of cases) assert.equal(capAt(entries, time), cap, time);
});

Deno.test("over a week an entry holds as long as it says, on each of its days", () => {
  const minute = fc.integer({ min: 0, max: 24 * 60 - 1 });
  const text = (at: number) =>
    `${String(Math.floor(at / 60)).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}`;
  const days = fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { minLength: 1 });
  fc.assert(
    fc.property(minute, minute, days, fc.nat(3_000), (from, until, days, week) => {
      const entries = [{ from: text(from), until: text(until), days, bytesPerSecond: 5 }];
      let held = 0;
      for (let at = 0; at < 7 * 24 * 60; at++) {
        if (scheduledCap({ entries }, (week * 7 * 24 * 60 + at) * 60_000) === 5) held++;
      }
      const lasts = until > from ? until - from : until - from + 24 * 60;
      assert.equal(held, lasts * days.length);
    }),
    { numRuns: 30 },
  );
});
