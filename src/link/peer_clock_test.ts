import assert from "node:assert/strict";
import { clockOf, encodeClock } from "../wire/clock_record.ts";
import { encodeRecord, RECORD_TYPES } from "../wire/frame.ts";
import { encodePing } from "../wire/session_records.ts";
import { PeerClock } from "./peer_clock.ts";

Deno.test("a peer's clock is told from ours by half a round trip", () => {
  const clock = new PeerClock();
  clock.heard(encodePing("ping", 7), 1_000, 80);
  assert.equal(clock.offsetMs, null, "no other record is a time");
  clock.heard(encodeClock(Date.UTC(2024, 0, 1) + 5_000.7), Date.UTC(2024, 0, 1), 80);
  assert.equal(clock.offsetMs, 5_040);
});

Deno.test("what is no time is ignored, whatever its length", () => {
  for (let bytes = 0; bytes < 20; bytes++) {
    const record = encodeRecord(RECORD_TYPES.clock, new Uint8Array(bytes).fill(0xff));
    assert.equal(clockOf(record), null, `${bytes}`);
  }
  assert.equal(clockOf(new Uint8Array(0)), null);
});

Deno.test("the time is told at once, then every ten seconds", () => {
  const clock = new PeerClock();
  const told: number[] = [];
  for (let nowMs = 0; nowMs < 30_000; nowMs += 300) if (clock.isDue(nowMs)) told.push(nowMs);
  assert.deepEqual(told, [0, 10_200, 20_400]);
});
