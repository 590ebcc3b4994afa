import assert from "node:assert/strict";
import { Estimator } from "./estimate.ts";
import { disk, measurement, memory } from "./testing/measurements.ts";

Deno.test("memory is in step from the pass on whose account can be believed", () => {
  const at = (pass: number, canHold: boolean) =>
    new Estimator().observe(0, measurement(0, { memory: memory({ pass }), canHold }), null)
      .isInStep;
  assert.deepEqual([1, 2, 3].map((pass) => at(pass, true)), [false, false, true]);
  // It pauses after its first pass: there is no third one.
  assert.deepEqual([1, 2].map((pass) => at(pass, false)), [false, true]);
  const disks = measurement(0, { stage: "disks", memory: null });
  assert.equal(new Estimator().observe(0, disks, null).isInStep, false);
});

Deno.test("what the machine writes is told apart by its own accounts, at their ratios", () => {
  const measured = measurement(0, {
    memory: memory({ dirtyBytesPerSecond: 4e6, wireRatio: 0.25 }),
    disks: [disk({ dirtyBytesPerSecond: 1e6 }), disk({ dirtyBytesPerSecond: 3e6 })],
    diskWireRatio: 0.5,
  });
  const estimate = new Estimator().observe(0, measured, null);
  assert.equal(estimate.dirtyMemoryBytesPerSecond, 1e6);
  assert.equal(estimate.dirtyDiskBytesPerSecond, 2e6);
});

Deno.test("a flow that is more than the accounts is shared out by them", () => {
  const estimator = new Estimator();
  let last = null;
  for (let atMs = 0; atMs <= 6_000; atMs += 100) {
    // 8 MB/s are added: what remains grows by 4 and 4 are applied.
    const measured = measurement(atMs, {
      memory: memory({
        pass: 3 + atMs / 100,
        dirtyBytesPerSecond: 4e6,
        wireRatio: 0.25,
        parkedWireBytes: 50e6 + 4_000 * atMs,
      }),
      disks: [disk({ dirtyBytesPerSecond: 2e6 })],
      appliedWireBytes: 4_000 * atMs,
      sentWireBytes: 4_000 * atMs,
    });
    last = estimator.observe(atMs, measured, null);
  }
  assert.ok(Math.abs(last!.flow!.dirtyBytesPerSecond - 8e6) < 1e5);
  assert.ok(Math.abs(last!.dirtyMemoryBytesPerSecond - 4e6) < 1e5);
  assert.ok(Math.abs(last!.dirtyDiskBytesPerSecond - 4e6) < 1e5);
});

Deno.test("memory that is held in the machine does not wait for the link", () => {
  const measured = measurement(0, {
    memory: memory({ remainingBytes: 8e6, parkedWireBytes: 1e6, wireRatio: 0.5 }),
    disks: [disk({ dirtyBytes: 4e6, remainingBytes: 2e6 })],
  });
  const { forTheLinkBytes, backlog } = new Estimator().observe(0, measured, null);
  assert.equal(forTheLinkBytes, 2e6);
  assert.equal(backlog.waitingBytes, 8e6);
});
