import assert from "node:assert/strict";
import {
  isRight,
  isShort,
  judgePauses,
  pauseLines,
  type PauseRun,
  targetsMet,
} from "../../bench/downtime/judge.ts";

function pause(observedMs: number | null, predictedMs: number | null, roundTripMs = 80): PauseRun {
  return {
    profile: "transatlantic",
    roundTripMs,
    state: observedMs === null ? "failed" : "completed",
    reportedDowntimeMs: observedMs,
    observedDowntimeMs: observedMs,
    predictedDowntimeMs: predictedMs,
  };
}

Deno.test("a forecast is right within 50 ms or a quarter of what came, whichever is more", () => {
  assert(isRight(150, 200));
  assert(!isRight(149, 200));
  assert(isRight(450, 600));
  assert(!isRight(449, 600));
  assert(isRight(750, 600));
  assert(!isRight(751, 600));
  assert(!isRight(null, 200));
  assert(!isRight(200, null));
});

Deno.test("a pause is short up to 300 ms and one and a half round trips", () => {
  assert(isShort(pause(420, 420)));
  assert(!isShort(pause(421, 421)));
  assert(isShort(pause(1200, 1200, 600)));
  assert(!isShort(pause(null, null)));
});

Deno.test("nine right forecasts of ten are enough, eight are not; one long pause is too many", () => {
  const runs = [...Array(9).fill(pause(200, 210)), pause(200, 300)];
  assert.deepEqual(targetsMet(judgePauses(runs)), { short: true, right: true });
  runs[0] = pause(200, 300);
  assert.deepEqual(targetsMet(judgePauses(runs)), { short: true, right: false });
  runs[0] = pause(900, 900);
  assert.deepEqual(targetsMet(judgePauses(runs)), { short: false, right: true });
  assert.deepEqual(targetsMet(judgePauses([])), { short: false, right: false });
});

Deno.test("the table has a line for each profile and one for all", () => {
  const lines = pauseLines([
    pause(200, 210),
    pause(300, 290),
    { ...pause(null, null), profile: "metro" },
  ]);
  assert.equal(lines.length, 4);
  assert.match(lines[1], /^transatlantic +2 of 2 +250 \(200\.\.300\) /);
  assert.match(lines[2], /^metro +0 of 1 +- /);
  assert.match(lines[3], /^all +2 of 3 /);
});
