import assert from "node:assert/strict";
import { type DipInput, Dips } from "./pacer_dip.ts";

const STEADY: Omit<DipInput, "nowMs"> = {
  isPaced: true,
  isShort: false,
  loopMs: 130,
  queueMs: 4,
  noiseMs: 0,
  allowedMs: 18,
};

/** Beginnings of the dips, and the share of the time that they take. */
function run(seconds: number, change: (nowMs: number) => Partial<DipInput> = () => ({})) {
  const dips = new Dips();
  dips.begin(0, STEADY.isShort);
  const beginsMs: number[] = [];
  let dippedMs = 0;
  let wasDip = false;
  for (let nowMs = 0; nowMs < seconds * 1000; nowMs += 10) {
    const isDip = dips.gain({ ...STEADY, nowMs, ...change(nowMs) }) !== null;
    if (isDip && !wasDip) beginsMs.push(nowMs);
    if (isDip) dippedMs += 10;
    wasDip = isDip;
  }
  return { beginsMs, dippedRatio: dippedMs / (seconds * 1000) };
}

Deno.test("Dips come seldom once they teach nothing", () => {
  const { beginsMs, dippedRatio } = run(60);
  const distances = beginsMs.slice(1).map((ms, index) => ms - beginsMs[index]);
  assert.ok(distances[0] < 2_000, `${distances}`);
  assert.ok(distances.slice(4).every((ms) => ms > 4_000), `${distances}`);
  assert.ok(dippedRatio < 0.1, `${dippedRatio}`);
});

Deno.test("Dips come often while each shows more jitter", () => {
  let noiseMs = 0;
  const { beginsMs } = run(20, () => ({ noiseMs: noiseMs += 0.2 }));
  assert.ok(beginsMs.length >= 9, `${beginsMs}`);
});

Deno.test("Dips need none where the application sends less", () => {
  assert.equal(run(20, () => ({ isPaced: false })).beginsMs.length, 0);
});
