import assert from "node:assert/strict";
import fc from "fast-check";
import { Pace } from "./pace.ts";
import { TICKS_PER_SECOND } from "./units.ts";

function count(pace: Pace, ticks: number, bytesPerTurn: number) {
  let memory = 0, disks = 0;
  for (let tick = 0; tick < ticks; tick++) {
    const turn = pace.next();
    if (turn.memory) memory++;
    if (!turn.disks) continue;
    disks++;
    pace.wrote(bytesPerTurn);
  }
  return { memory, disks };
}

Deno.test("a machine that is not held back runs in each tick", () => {
  assert.deepEqual(count(new Pace(), 500, 1_000_000), { memory: 500, disks: 500 });
});

Deno.test("less processor time leaves out exactly that share of the ticks", () => {
  for (const [share, memory] of [[0.5, 500], [0.9, 100], [0.99, 10], [0.2, 800]]) {
    const pace = new Pace();
    pace.throttleCpu(share);
    assert.deepEqual(count(pace, 1000, 0), { memory, disks: memory }, String(share));
  }
});

Deno.test("capped disks write no more than the cap and a burst, and memory goes on", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 5_000_000 }),
    fc.integer({ min: 1, max: 200_000 }),
    (bytesPerSecond, bytesPerTurn) => {
      const pace = new Pace();
      pace.capDisks(bytesPerSecond);
      const { memory, disks } = count(pace, 10 * TICKS_PER_SECOND, bytesPerTurn);
      assert.equal(memory, 10 * TICKS_PER_SECOND);
      const most = 10 * bytesPerSecond + bytesPerSecond / 10 + bytesPerTurn;
      assert.ok(disks * bytesPerTurn <= most, `${disks} turns of ${bytesPerTurn}`);
      const wanted = 10 * TICKS_PER_SECOND * bytesPerTurn;
      const least = Math.min(wanted, 10 * bytesPerSecond) - bytesPerTurn;
      assert.ok(disks * bytesPerTurn >= least, `${disks} turns of ${bytesPerTurn}`);
    },
  ));
});

Deno.test("a cap that is taken away leaves nothing to be made up for", () => {
  const pace = new Pace();
  pace.capDisks(100);
  count(pace, 100, 1_000_000);
  pace.capDisks(null);
  assert.deepEqual(count(pace, 100, 1_000_000), { memory: 100, disks: 100 });
});
