import assert from "node:assert/strict";
import fc from "fast-check";
import { backlogOf } from "./backlog.ts";
import { disk, measurement, memory, path } from "./testing/measurements.ts";

const QUIET = { appliedBytesPerSecond: 0, passAgeMs: 0 };

Deno.test("memory and disks count by what they cost on the wire", () => {
  const backlog = backlogOf(
    measurement(0, {
      memory: memory({ remainingBytes: 4e6, wireRatio: 0.25, parkedWireBytes: 300_000 }),
      disks: [disk({ dirtyBytes: 1e6, remainingBytes: 2e6 }), disk({ dirtyBytes: 1e6 })],
      diskWireRatio: 0.5,
    }),
    QUIET,
  );
  assert.equal(backlog.memoryBytes, 1e6);
  assert.equal(backlog.diskBytes, 2e6);
  assert.equal(backlog.parkedBytes, 300_000);
  assert.equal(backlog.waitingBytes, 3.3e6);
});

Deno.test("what a busy pipe holds arrives within the path's delay, and does not wait", () => {
  // 600 ms of round trip at 10 MB/s: 6 MB are under way and applied without our knowing.
  const measured = measurement(0, {
    memory: memory({ parkedWireBytes: 6.5e6 }),
    path: path({ minRoundTripMs: 600, roundTripMs: 640 }),
    sentWireBytes: 106e6,
    appliedWireBytes: 100e6,
  });
  const busy = backlogOf(measured, { appliedBytesPerSecond: 10e6, passAgeMs: 0 });
  assert.equal(busy.onTheWayBytes, 6e6);
  assert.equal(busy.waitingBytes, 0.5e6);
  // The same bytes with nothing applied lately are a queue.
  assert.equal(backlogOf(measured, QUIET).waitingBytes, 6.5e6);
});

Deno.test("an account of the beginning of a pass is filled up by what came since", () => {
  const lagging = memory({ remainingBytes: 1e6, dirtyBytesPerSecond: 4e6, wireRatio: 1 });
  const at = (passAgeMs: number, isCountedLive = false) =>
    backlogOf(measurement(0, { memory: { ...lagging, isCountedLive } }), { ...QUIET, passAgeMs })
      .memoryBytes;
  assert.equal(at(0), 1e6);
  assert.equal(at(500), 3e6);
  assert.equal(at(500, true), 1e6);
  assert.equal(at(1e9), 256e6, "never more than there is");
});

Deno.test("an unknown account of memory counts as all of it", () => {
  const measured = measurement(0, { memory: memory({ remainingBytes: null, wireRatio: 0.5 }) });
  assert.equal(backlogOf(measured, QUIET).memoryBytes, 128e6);
});

Deno.test("without memory only disks and the link count", () => {
  const measured = measurement(0, {
    stage: "disks",
    memory: null,
    disks: [disk({ dirtyBytes: 2e6 })],
    sentWireBytes: 700_000,
    appliedWireBytes: 500_000,
  });
  assert.equal(backlogOf(measured, QUIET).waitingBytes, 1.2e6);
});

Deno.test("nothing is ever negative, and the parts make the whole", () => {
  const bytes = fc.nat(1e9);
  fc.assert(fc.property(bytes, bytes, bytes, bytes, fc.nat(1e8), (a, b, sent, applied, rate) => {
    const measured = measurement(0, {
      memory: memory({ remainingBytes: a % 256e6, parkedWireBytes: b }),
      sentWireBytes: sent,
      appliedWireBytes: applied,
    });
    const backlog = backlogOf(measured, { appliedBytesPerSecond: rate, passAgeMs: 10 });
    for (const part of Object.values(backlog)) assert.ok(part >= 0);
    const { memoryBytes, diskBytes, parkedBytes, waitingBytes } = backlog;
    assert.equal(waitingBytes, memoryBytes + diskBytes + parkedBytes);
  }));
});
