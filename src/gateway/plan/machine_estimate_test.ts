import assert from "node:assert/strict";
import fc from "fast-check";
import type { DirtySample } from "../../guest/dirty_sample.ts";
import type { DiskDescription, GuestDescription } from "../../guest/guest.ts";
import { ENDS } from "./ends.ts";
import { estimateMachine, type ImageContent, type MachineInput } from "./machine_estimate.ts";

const MIB = 1024 * 1024;

function disk(changes: Partial<DiskDescription> = {}): DiskDescription {
  return {
    id: "root",
    sizeBytes: 1_000 * MIB,
    allocatedBytes: 100 * MIB,
    format: "raw",
    readOnly: false,
    path: "/images/root.raw",
    ...changes,
  };
}

function description(changes: Partial<GuestDescription> = {}): GuestDescription {
  return {
    kind: "reference",
    version: "1",
    machineType: null,
    cpuModel: null,
    memoryBytes: 200 * MIB,
    runState: "running",
    disks: [disk()],
    devices: [],
    canHoldSwitchover: true,
    ...changes,
  };
}

function sample(changes: Partial<DirtySample["memory"]> = {}): DirtySample {
  return {
    memory: {
      windows: [{ ms: 1_000, distinctBytes: 2 * MIB }, { ms: 3_000, distinctBytes: 4 * MIB }],
      zeroShare: 0.5,
      wireRatio: 0.4,
      rewriteRatio: 0.1,
      ...changes,
    },
    disks: [{ id: "root", writtenBytesPerSecond: MIB, distinctBytes: 3 * MIB, ms: 4_000 }],
  };
}

const looked = (content: ImageContent) => new Map([["root", content]]);

function estimate(changes: Partial<MachineInput> = {}) {
  return estimateMachine({
    description: description(),
    sample: sample(),
    images: looked({ filledBytes: 80 * MIB, wireRatio: 0.5 }),
    held: null,
    mayThrottleDisks: true,
    ...changes,
  });
}

/** Wire bytes of a first copy of everything. */
function copyBytes({ machine }: ReturnType<typeof estimate>, end: typeof ENDS[number]): number {
  const { memoryBytes, memoryWireRatio, disks, diskWireRatio } = machine[end];
  const onDisk = disks.reduce((sum, { allocatedBytes }) => sum + allocatedBytes, 0);
  return memoryBytes * memoryWireRatio + onDisk * diskWireRatio;
}

const remarks = (changes: Partial<MachineInput> = {}) => estimate(changes).remarks.join("\n");

Deno.test("contents that were looked at make a first copy as large as they pack", () => {
  const expected = copyBytes(estimate(), "expected");
  const packed = 200 * MIB * 0.5 * 0.4 + 80 * MIB * 0.5;
  assert.ok(Math.abs(expected - packed) < 0.03 * packed, `${expected} for ${packed}`);
  assert.ok(copyBytes(estimate(), "low") < expected && expected < copyBytes(estimate(), "high"));
});

Deno.test("contents that nobody looked at range from nearly empty to incompressible", () => {
  const unseen = { sample: sample({ zeroShare: null, wireRatio: null }), images: new Map() };
  assert.ok(copyBytes(estimate(unseen), "low") <= 0.21 * 300 * MIB);
  assert.ok(copyBytes(estimate(unseen), "high") >= 1.04 * 300 * MIB);
  assert.match(remarks(unseen), /memory were not looked at/);
  assert.match(remarks(unseen), /disk root were not looked at/);
});

Deno.test("a thin disk costs what its image takes, not its size; an unknown one counts whole", () => {
  const onlyDisk = (changes: Partial<DiskDescription>) => {
    const parts = { description: description({ disks: [disk(changes)] }), images: new Map() };
    return copyBytes(estimate(parts), "expected") - copyBytes(
      estimate({
        ...parts,
        description: description({ disks: [] }),
      }),
      "expected",
    );
  };
  const thin = onlyDisk({ sizeBytes: 20_000 * MIB });
  // Tables of the format beside the contents do not travel.
  assert.equal(onlyDisk({ sizeBytes: 100 * MIB, allocatedBytes: 101 * MIB }), thin);
  assert.equal(onlyDisk({ sizeBytes: 100 * MIB, allocatedBytes: null }), thin);
  const unknown = description({ disks: [disk({ allocatedBytes: null })] });
  assert.match(remarks({ description: unknown }), /its whole size is counted/);
});

Deno.test("a machine that was not watched gets assumed writes, one that stands still none", () => {
  const { machine } = estimate({ sample: null });
  assert.equal(machine.low.written.length, 0);
  assert.ok(machine.expected.written[0].bytesPerSecond > 0);
  assert.ok(machine.high.written[0].bytesPerSecond > machine.expected.written[0].bytesPerSecond);
  assert.match(remarks({ sample: null }), /not sampled/);
  const paused = { description: description({ runState: "paused" as const }) };
  for (const end of ENDS) {
    const { written, disks, isRunning } = estimate(paused).machine[end];
    assert.deepEqual([written, disks[0].written.bytesPerSecond, isRunning], [[], 0, false]);
  }
  assert.doesNotMatch(remarks(paused), /not sampled/);
});

Deno.test("what is at the destination already shortens all but the worst case, and is named", () => {
  const held = {
    memoryBytes: 200 * MIB,
    disks: [{ id: "root", bytes: 100 * MIB, isKnown: true }],
    storeBytes: 5 * MIB,
  };
  const [fresh, warm] = [estimate(), estimate({ held })];
  assert.ok(copyBytes(warm, "low") < 0.05 * copyBytes(fresh, "low"));
  assert.ok(copyBytes(warm, "expected") < 0.3 * copyBytes(fresh, "expected"));
  assert.ok(Math.abs(copyBytes(warm, "high") - copyBytes(fresh, "high")) < 1);
  const unknownImage = { ...held, disks: [{ ...held.disks[0], isKnown: false }] };
  assert.ok(
    copyBytes(estimate({ held: unknownImage }), "expected") > copyBytes(warm, "expected"),
  );
  assert.match(remarks({ held }), /210 MB of this memory from before/);
  assert.match(remarks({ held }), /image of root holds 105 MB from before/);
  assert.match(remarks({ held }), /content store has 5.2 MB/);
  assert.match(remarks(), /destination has already is not known/);
});

Deno.test("every estimate is finite, and from the best case to the worst", () => {
  const size = fc.integer({ min: 0, max: 2 ** 41 });
  const share = fc.option(fc.double({ min: 0, max: 1, noNaN: true }));
  const disks = fc.array(fc.tuple(size, fc.option(size)), { maxLength: 3 });
  fc.assert(fc.property(disks, share, share, share, (sizes, zeroShare, wireRatio, rewriteRatio) => {
    const input = {
      description: description({
        disks: sizes.map(([sizeBytes, allocatedBytes], number) =>
          disk({ id: `d${number}`, sizeBytes, allocatedBytes })
        ),
      }),
      sample: sample({ zeroShare, wireRatio, rewriteRatio }),
      images: new Map(),
    };
    const found = estimate(input);
    const [low, expected, high] = ENDS.map((end) => copyBytes(found, end));
    assert.ok(Number.isFinite(low) && Number.isFinite(high));
    assert.ok(low <= expected && expected <= high, `${low} ${expected} ${high}`);
  }));
});
