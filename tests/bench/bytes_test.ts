import assert from "node:assert/strict";
import { constants, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import {
  BLOCK_BYTES,
  changedContent,
  contentUnknownTo,
  PackedSize,
  PAGE_BYTES,
  wholeContent,
} from "../../bench/bytes/bound.ts";
import type { Snapshot } from "../../bench/bytes/machine.ts";
import { caseLines, judge, type RecordedRun, spread } from "../../bench/bytes/report.ts";
import { withoutLoss } from "../../bench/bytes/arena.ts";
import { loadProfile } from "../../src/emulator/load_profile.ts";
import { randomPool } from "../../src/testing/guest_image/pools.ts";

const MEBIBYTE = 1024 * 1024;

Deno.test("PackedSize is what batches of 1 MiB take, however the units are cut", () => {
  const bytes = randomPool().subarray(0, 2 * MEBIBYTE + 12_345).map((byte, at) =>
    at % 3 === 0 ? byte : 7
  );
  const params = { [constants.ZSTD_c_compressionLevel]: 3 };
  let expected = 0;
  for (let at = 0; at < bytes.length; at += MEBIBYTE) {
    expected += zstdCompressSync(bytes.subarray(at, at + MEBIBYTE), { params }).length;
  }
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 20 }), (cuts) => {
      const size = new PackedSize();
      const places = [0, ...cuts.sort((left, right) => left - right), bytes.length];
      places.slice(1).forEach((end, index) => size.add(bytes.subarray(places[index], end)));
      assert.equal(size.finish(), expected);
    }),
    { numRuns: 20 },
  );
});

Deno.test("the bound counts no zeros, nothing unchanged and nothing that is known elsewhere", async () => {
  await using files = await snapshots();
  const random = randomPool();
  const memory = new Uint8Array(64 * PAGE_BYTES);
  memory.set(random.subarray(0, 16 * PAGE_BYTES), 8 * PAGE_BYTES);
  const disk = new Uint8Array(4 * BLOCK_BYTES);
  disk.set(random.subarray(MEBIBYTE, MEBIBYTE + BLOCK_BYTES), BLOCK_BYTES);
  const before = await files.save("before", memory, disk);
  // Random content does not shrink: its packed size is its length.
  assert.deepEqual(wholeContent(before), { memoryBytes: 16 * PAGE_BYTES, diskBytes: BLOCK_BYTES });
  assert.deepEqual(changedContent(before, before, BLOCK_BYTES), { memoryBytes: 0, diskBytes: 0 });

  memory[9 * PAGE_BYTES + 17] ^= 1;
  memory.fill(0, 10 * PAGE_BYTES, 11 * PAGE_BYTES);
  disk[BLOCK_BYTES + 17] ^= 1;
  const after = await files.save("after", memory, disk);
  const page = { memoryBytes: PAGE_BYTES, diskBytes: PAGE_BYTES };
  assert.deepEqual(changedContent(before, after, PAGE_BYTES), page);
  assert.equal(changedContent(before, after, BLOCK_BYTES).diskBytes, BLOCK_BYTES);
  assert.deepEqual(contentUnknownTo(before, after), page);

  // The same contents, at other places and the other way round: known.
  const moved = await files.save("moved", disk, memory);
  assert.deepEqual(contentUnknownTo(after, moved), { memoryBytes: 0, diskBytes: 0 });
});

Deno.test("ratios are taken within a repetition, against QEMU's better setting", () => {
  const runs = [
    run("a", "causeway", 0, 90, 100),
    run("a", "qemu-plain", 0, 200),
    run("a", "qemu-xbzrle", 0, 100),
    run("a", "causeway", 1, 60, 40),
    run("a", "qemu-plain", 1, 80),
  ];
  const judged = judge(runs);
  assert.deepEqual(judged.map(({ of, ratio: { min, max }, met }) => [of, min, max, met]), [
    ["the bound", 0.9, 1.5, false],
    ["QEMU's better setting", 0.75, 0.9, true],
  ]);
  const lines = caseLines("a", runs);
  assert.ok(lines.some((line) => line.startsWith("  causeway / the bound: 1.20 (0.90-1.50)")));
  assert.deepEqual(caseLines("b", runs), []);
  // A case without anything to divide by is not judged.
  assert.deepEqual(judge([run("a", "causeway", 0, 90)]), []);
  assert.deepEqual(spread([3, 1, 2, 10]), { median: 2.5, min: 1, max: 10 });
});

Deno.test("a profile without loss keeps delay and the length of its queue in time", async () => {
  const profile = await loadProfile("lossy-intercontinental");
  const { forward, backward } = withoutLoss(profile, profile.forward.rateBitsPerSecond / 4);
  for (const direction of [forward, backward]) {
    assert.equal(direction.lossRatio, 0);
    assert.equal(direction.burstLoss, null);
  }
  assert.equal(forward.delayMs, profile.forward.delayMs);
  assert.equal(forward.queueBytes, Math.ceil(profile.forward.queueBytes / 4));
  assert.deepEqual(
    withoutLoss(profile, null).forward.rateBitsPerSecond,
    profile.forward.rateBitsPerSecond,
  );
});

function run(
  name: RecordedRun["case"],
  contestant: string,
  repetition: number,
  wireBytes: number,
  boundBytes: number | null = null,
): RecordedRun {
  const nothing = { memoryBytes: 0, diskBytes: 0 };
  return {
    case: name,
    contestant,
    repetition,
    seed: 1,
    load: 0,
    cost: {
      wireBytes,
      wire: { forwardBytes: wireBytes, backwardBytes: 0 },
      totalMs: 1,
      memoryBytes: null,
      diskBytes: null,
      converged: true,
      detail: {},
    },
    bound: boundBytes === null
      ? null
      : { departure: { ...nothing, memoryBytes: boundBytes }, changed: nothing },
    earlier: null,
    rates: { memory: 0, disk: 0, hot: 0 },
    verified: "verify ok",
  };
}

async function snapshots() {
  const folder = await Deno.makeTempDir();
  return {
    async save(label: string, memory: Uint8Array, disk: Uint8Array): Promise<Snapshot> {
      const snapshot = {
        memoryPath: `${folder}/${label}.memory`,
        diskPath: `${folder}/${label}.disk`,
      };
      await Deno.writeFile(snapshot.memoryPath, memory);
      await Deno.writeFile(snapshot.diskPath, disk);
      return snapshot;
    },
    async [Symbol.asyncDispose]() {
      await Deno.remove(folder, { recursive: true });
    },
  };
}
