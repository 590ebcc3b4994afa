import assert from "node:assert/strict";
import { VirtualClock } from "../testing/virtual_clock.ts";
import { LinkCap } from "./link_cap.ts";

const HOUR_MS = 3_600_000;
const OFFICE_HOURS = {
  policy: "schedule" as const,
  entries: [{ from: "08:00", until: "18:00", bytesPerSecond: 250_000 }],
};

function setUp(startWallMs: number) {
  const clock = new VirtualClock(startWallMs);
  const set: (number | null)[] = [];
  const cap = new LinkCap({ setRateLimit: (bytesPerSecond) => set.push(bytesPerSecond) }, clock);
  return { clock, set, cap };
}

Deno.test("a cap that is a figure is set once, however it is written", () => {
  const { set, cap } = setUp(0);
  cap.set(5_000);
  cap.set({ policy: "fixed", bytesPerSecond: 5_000 });
  assert.equal(cap.bytesPerSecond, 5_000);
  cap.set(null);
  assert.deepEqual(set, [5_000, null]);
  assert.equal(cap.wished, null);
});

Deno.test("a schedule changes the cap within a second of its times, and only then", async () => {
  const { clock, set, cap } = setUp(Date.UTC(2026, 0, 1, 7, 59, 30, 700));
  cap.set(OFFICE_HOURS);
  assert.equal(cap.bytesPerSecond, null);
  await clock.advance(29_000);
  assert.deepEqual(set, []);
  await clock.advance(1_300);
  assert.deepEqual(set, [250_000]);
  await clock.advance(10 * HOUR_MS);
  assert.deepEqual(set, [250_000, null]);
  cap.close();
});

Deno.test("a schedule that was replaced or closed changes nothing any more", async () => {
  const { clock, set, cap } = setUp(Date.UTC(2026, 0, 1, 7));
  cap.set(OFFICE_HOURS);
  cap.set(9_000);
  await clock.advance(2 * HOUR_MS);
  assert.deepEqual(set, [9_000]);
  cap.set(OFFICE_HOURS);
  assert.deepEqual(set, [9_000, 250_000]);
  cap.close();
  await clock.advance(24 * HOUR_MS);
  assert.deepEqual(set, [9_000, 250_000]);
});
