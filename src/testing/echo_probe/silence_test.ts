import assert from "node:assert/strict";
import { type EchoRecord, longestSilences, probeStallMs } from "./silence.ts";

function record(answeredAtMs: (number | null)[]): EchoRecord {
  const sentAtMs = answeredAtMs.map((_, index) => index * 5);
  return { intervalMs: 5, startedWallMs: 0, sentAtMs, answeredAtMs };
}

Deno.test("the longest silence is the gap between two answers less the interval", () => {
  const [first, second] = longestSilences(record([1, 6, null, null, 21, 26, null, 36]));
  assert.deepEqual(first, { startMs: 6, endMs: 21, silentMs: 10 });
  assert.deepEqual(second, { startMs: 26, endMs: 36, silentMs: 5 });
});

Deno.test("answers that overtake each other leave no silence", () => {
  assert.equal(longestSilences(record([1, 12, 11, 16]))[0].silentMs, 5);
});

Deno.test("requests that nobody answers at the ends are no silence", () => {
  assert.equal(longestSilences(record([null, null, null, 16, 21, null, null]))[0].silentMs, 0);
  assert.deepEqual(longestSilences(record([null, 6])), []);
});

Deno.test("a probe that could not send in time says so", () => {
  const stalled = { ...record([1, 6, 51]), sentAtMs: [0, 5, 50] };
  assert.equal(probeStallMs(stalled), 40);
  assert.equal(probeStallMs(record([1, 6, 11])), 0);
});
