import assert from "node:assert/strict";
import { decodeCpuState, encodeCpuState } from "./cpu_state.ts";
import { initialRegisters, type MachineShape } from "./program.ts";
import { busyWorkload } from "./testing.ts";

const SHAPE: MachineShape = { pageCount: 1024, diskBlockCounts: [16, 8] };

function state() {
  const registers = initialRegisters(SHAPE, 1);
  registers.tick = 12;
  registers.disk.pending.push({ dueTick: 14, disk: 1, block: 7, version: 99 });
  return { shape: SHAPE, workload: busyWorkload(), registers };
}

Deno.test("a CPU state survives its encoding", () => {
  assert.deepEqual(decodeCpuState(encodeCpuState(state()), SHAPE), state());
});

Deno.test("what is no CPU state of this machine is refused", () => {
  const good = new TextDecoder().decode(encodeCpuState(state()));
  const bad: [string, string][] = [
    ["garbage", "\0\x01"],
    ["an array", "[]"],
    ["null", "null"],
    ["another format", good.replace("cpu-2", "cpu-1")],
    ["another shape", good.replace('"pageCount":1024', '"pageCount":2048')],
    ["a missing register", good.replace('"tick"', '"tock"')],
    ["no registers of the disks", good.replace('"disk":{', '"tape":{')],
    ["a missing rate", good.replace('"seed"', '"weed"')],
    ["no cursor of the free pages", good.replace('"freeCursor"', '"elsewhere"')],
    ["a short generator state", good.replace(/"prng":\[[^\]]*\]/, '"prng":[1,2,3]')],
    ["a cursor outside of the free pages", good.replace('"freeCursor":0', '"freeCursor":1e9')],
    ["half a tick", good.replace('"tick":12', '"tick":12.5')],
    ["half a tick of the disks", good.replace('"disk":{"tick":0', '"disk":{"tick":0.5')],
    ["a log behind its disk", good.replace('"logCursors":[0', '"logCursors":[16')],
    [
      "a rate without end",
      good.replace(/"memoryBytesPerSecond":\d+/, '"memoryBytesPerSecond":1e300'),
    ],
    ["a write to no disk", good.replace('"disk":1', '"disk":2')],
    ["a write behind the disk", good.replace('"block":7', '"block":8')],
  ];
  for (const [what, text] of bad) {
    assert.notEqual(text, good, what);
    const bytes = new TextEncoder().encode(text);
    assert.throws(() => decodeCpuState(bytes, SHAPE), { code: "memory_load_failed" }, what);
  }
});
