import assert from "node:assert/strict";
import { forecastDowntime } from "./forecast.ts";
import { Switching } from "./switching.ts";

/** A pause of this length, at 10 MB/s. */
function pauseOf(budgetedMs: number) {
  const waitingBytes = (budgetedMs - 90) / 1000 * 10e6 - 48_000;
  return forecastDowntime({
    waitingBytes,
    goodputBytesPerSecond: 10e6,
    handoverWorkMs: 90,
    roundTripMs: 100,
    lossRatio: 0,
  });
}

/** When the switch comes, for a pause that develops so; null: not within a minute. */
function switchesAt(
  pauseMs: (atMs: number) => number,
  budgetMs = 300,
  switching = new Switching(),
  fromMs = 0,
): number | null {
  for (let atMs = fromMs; atMs < fromMs + 60_000; atMs += 100) {
    if (switching.judge(atMs, pauseOf(pauseMs(atMs)), budgetMs).isRight) return atMs;
  }
  return null;
}

Deno.test("an idle machine switches at the first look", () => {
  assert.equal(switchesAt(() => 100), 0);
});

Deno.test("a pause over its budget waits, and says by how much", () => {
  assert.equal(switchesAt(() => 301), null);
  const { fits, reason } = new Switching().judge(0, pauseOf(1_200), 300);
  assert.equal(fits, false);
  assert.match(reason, /would take 1200 ms of the 300 ms budget/);
});

Deno.test("a pause that fits and still shrinks is left to, but not for ever", () => {
  // 4 s at the start, 400 ms shorter each second.
  const at = switchesAt((atMs) => Math.max(130, 2_000 - 0.4 * atMs))!;
  assert.ok(at > 4_300 && at <= 4_700, String(at));
  assert.ok(switchesAt((atMs) => Math.max(130, 2_000 - 0.16 * atMs))! <= 12_700);
});

Deno.test("a long pause that fits is left to shrink for longer", () => {
  // 4 s fit a budget of 5 s, and half a second is what it comes down to.
  const at = switchesAt((atMs) => Math.max(500, 4_000 - 0.4 * atMs), 5_000)!;
  assert.ok(at > 8_750 && at < 9_500, String(at));
});

Deno.test("a pause that fits and stays is taken after a second's look", () => {
  assert.equal(switchesAt(() => 250), 1_000);
});

Deno.test("after a trough the next one is waited for, within patience", () => {
  // A load in waves of 2 s between 130 and 230 ms, and a budget that fits both.
  const wave = (atMs: number) => 185 - 50 * Math.cos(atMs / 2_000 * 2 * Math.PI);
  const at = switchesAt(wave)!;
  assert.ok(wave(at) < 172 && at > 1_000 && at <= 2_000, `${at}: ${wave(at)}`);
});

Deno.test("a load that comes down only now and then switches in its trough", () => {
  const wave = (atMs: number) => 450 + 200 * Math.cos(atMs / 10_000 * 2 * Math.PI);
  const at = switchesAt(wave)!;
  assert.ok(wave(at) <= 300, `${at}: ${wave(at)}`);
});

Deno.test("after an undone switch the next one waits, twice as long each time up to a limit", () => {
  const switching = new Switching();
  const waits = [];
  let atMs = 0;
  for (let undone = 0; undone < 6; undone++) {
    switching.undone(atMs, null, null);
    const next = switchesAt(() => 100, 300, switching, atMs)!;
    waits.push(next - atMs);
    atMs = next;
  }
  assert.deepEqual(waits, [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
});

Deno.test("what the gate found beyond the forecast is added to later ones, and fades", () => {
  const switching = new Switching();
  switching.undone(0, pauseOf(200), 650);
  assert.equal(switching.marginMs(0), 450);
  assert.equal(Math.round(switching.marginMs(60_000)), 225);
  switching.undone(60_000, pauseOf(300), 250);
  assert.equal(Math.round(switching.marginMs(60_000)), 225, "an early one takes nothing away");
});

Deno.test("a machine that stands still has no pause to keep short", () => {
  assert.equal(switchesAt(() => 50_000, Infinity), 0);
});

Deno.test("the least pause of the last seconds is known", () => {
  const switching = new Switching();
  assert.equal(switching.leastMs, null);
  switchesAt((atMs) => 1_000 + (atMs % 5_000) / 10, 300, switching);
  assert.equal(Math.round(switching.leastMs!), 1_000);
});
