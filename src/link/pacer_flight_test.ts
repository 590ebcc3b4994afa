import assert from "node:assert/strict";
import { FirstFlight } from "./pacer_flight.ts";

const GUESS = 500_000;
const loopMs = 92;

Deno.test("the first window leaves faster than the first guess, until a report tells of it", () => {
  const flight = new FirstFlight();
  assert.equal(flight.rate(GUESS), 3_000_000);
  assert.equal(flight.rate(4_000_000), 4_000_000);
  // Of what was said before there was much to send.
  flight.take({ sentBytesPerSecond: 9_000, isPaced: false, loopMs, nowMs: 0 });
  flight.take({ sentBytesPerSecond: null, isPaced: true, loopMs, nowMs: 5_000 });
  assert.ok(flight.isUnderWay);
  flight.take({ sentBytesPerSecond: 2_900_000, isPaced: true, loopMs, nowMs: 5_090 });
  assert.ok(!flight.isUnderWay);
  assert.equal(flight.rate(GUESS), GUESS);
});

Deno.test("a first window that no report tells apart is over after two turns of the loop", () => {
  const flight = new FirstFlight();
  const take = (nowMs: number) =>
    flight.take({ sentBytesPerSecond: 900_000, isPaced: true, loopMs, nowMs });
  take(1_000);
  take(1_184);
  assert.ok(flight.isUnderWay);
  take(1_185);
  assert.ok(!flight.isUnderWay);
});
