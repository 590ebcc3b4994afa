import assert from "node:assert/strict";
import { Moments } from "./moment.ts";
import { measurement, wishes } from "./testing/measurements.ts";
import type { Measurement } from "./measurement.ts";
import type { Wishes } from "./wishes.ts";

const START = Date.UTC(2024, 0, 1);
const window = (fromMs: number, untilMs: number | null) => ({
  from: new Date(START + fromMs).toISOString(),
  until: untilMs === null ? null : new Date(START + untilMs).toISOString(),
});

/** What a moment says at a time, for a machine whose memory takes a minute. */
function at(
  moments: Moments,
  nowMs: number,
  wish: Partial<Wishes>,
  parts: Partial<Measurement> = {},
  isInStep = true,
) {
  const measured = measurement(nowMs, parts);
  return moments.of(wishes(wish), { judgedMs: nowMs, measured, isInStep, leadMs: 60_000 });
}

const DISKS = { stage: "disks", memory: null } as const;

Deno.test("without hold, window and word memory starts and the switch may come", () => {
  const { wantsMemory, hasCome, isForced, waitsFor } = at(new Moments(), 0, {}, DISKS);
  assert.deepEqual([wantsMemory, hasCome, isForced, waitsFor], [true, true, false, null]);
});

Deno.test("a hold keeps memory for its time from when it came into step, then only the disks", () => {
  const moments = new Moments();
  const hold = { hold: true, holdMemoryMs: 10_000 };
  assert.equal(at(moments, 0, hold, DISKS, false).wantsMemory, true);
  assert.equal(at(moments, 30_000, hold, {}, false).wantsMemory, true, "it is not in step yet");
  assert.equal(at(moments, 31_000, hold).wantsMemory, true);
  assert.equal(at(moments, 40_900, hold).wantsMemory, true);
  const parked = at(moments, 41_100, hold);
  assert.equal(parked.wantsMemory, false);
  assert.match(parked.reason, /held in step for 10 s/);
  assert.equal(at(moments, 50_000, hold, DISKS, false).wantsMemory, false, "and stays so");
  const begun = at(moments, 60_000, { ...hold, switchNow: true }, DISKS, false);
  assert.deepEqual([begun.wantsMemory, begun.hasCome, begun.isForced], [true, true, false]);
});

Deno.test("a hold without memory never starts it before the word", () => {
  const moment = at(new Moments(), 0, { hold: true, holdMemoryMs: 0 }, DISKS);
  assert.equal(moment.wantsMemory, false);
  assert.match(moment.waitsFor!, /a word; memory starts with it/);
});

Deno.test("the word forces a switch of memory that is copied, and starts one that is not", () => {
  const copying = new Moments();
  assert.equal(at(copying, 0, { hold: true }).isForced, false);
  assert.equal(at(copying, 100, { hold: true, switchNow: true }).isForced, true);
  assert.equal(at(copying, 200, { hold: true, switchNow: true }).isForced, true);
  assert.equal(at(copying, 300, { hold: true }).isForced, false, "taken back");
  const parked = new Moments();
  assert.equal(at(parked, 0, { switchNow: true }, DISKS).isForced, false);
  assert.equal(at(parked, 60_000, { switchNow: true }).isForced, false, "the same word");
  at(parked, 60_100, {});
  assert.equal(at(parked, 60_200, { switchNow: true }).isForced, true, "another word");
  const again = new Moments();
  const word = (switchWords: number) => ({ switchNow: true, switchWords });
  assert.equal(at(again, 0, word(1), DISKS).isForced, false);
  assert.equal(at(again, 60_000, word(1)).isForced, false);
  assert.equal(at(again, 60_100, word(2)).isForced, true, "another word, the first one stands");
  assert.equal(at(again, 60_200, word(2)).isForced, true);
});

Deno.test("memory starts when a window is as near as the lead time, with a margin, and stays", () => {
  const moments = new Moments();
  const wish = { window: window(600_000, null) };
  const early = at(moments, 0, wish, DISKS);
  assert.deepEqual([early.wantsMemory, early.hasCome], [false, false]);
  assert.match(early.waitsFor!, /memory to start at about 00:08 UTC: the window opens at 00:10/);
  assert.equal(at(moments, 514_000, wish, DISKS).wantsMemory, false);
  assert.equal(at(moments, 516_000, wish, DISKS).wantsMemory, true);
  const quicker = { judgedMs: 520_000, isInStep: true, leadMs: 1_000 };
  const measured = measurement(520_000);
  assert.equal(moments.of(wishes(wish), { ...quicker, measured }).wantsMemory, true);
  const open = at(moments, 600_000, wish);
  assert.deepEqual([open.hasCome, open.isForced], [true, false]);
});

Deno.test("a window that closes unused leaves the move held, and says so", () => {
  const moments = new Moments();
  const wish = { window: window(1_000, 2_000) };
  assert.equal(at(moments, 1_999, wish).hasCome, true);
  const missed = at(moments, 2_000, wish);
  assert.deepEqual([missed.wantsMemory, missed.hasCome], [false, false]);
  assert.match(missed.reason, /the window closed at 00:00 UTC unused/);
  assert.equal(at(moments, 3_000, { window: window(2_500, null) }).hasCome, true, "another one");
});

Deno.test("a machine that pauses by itself gets its memory only once the moment has come", () => {
  const parts = { ...DISKS, canHold: false };
  assert.equal(at(new Moments(), 0, { hold: true }, parts).wantsMemory, false);
  const wish = { window: window(5_000, null) };
  assert.equal(at(new Moments(), 4_000, wish, parts).wantsMemory, false);
  assert.equal(at(new Moments(), 5_000, wish, parts).wantsMemory, true);
  assert.equal(at(new Moments(), 0, {}, parts).wantsMemory, true);
});

Deno.test("a hold that ended begins with its whole time when it is wished again", () => {
  const moments = new Moments();
  const hold = { hold: true, holdMemoryMs: 5_000 };
  at(moments, 0, hold);
  assert.equal(at(moments, 6_000, hold).wantsMemory, false);
  at(moments, 7_000, {});
  assert.equal(at(moments, 8_000, hold).wantsMemory, true);
});
