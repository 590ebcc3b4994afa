import assert from "node:assert/strict";
import type { DirtySample } from "../guest/dirty_sample.ts";
import type { Guest } from "../guest/guest.ts";
import type { GuestPair } from "./guest_suite.ts";
import { MemoryPipe, notebook } from "./guest_move.ts";

/** Far below what the machines of the suite write. */
const CAP_BYTES_PER_SECOND = 40_000;
/** One write of either machine: a cap lets it through whole, and one may be under way before. */
const WRITE_BYTES = 128 * 1024;
const LOOKS_MAX = 20;
/** Where memory goes that nobody needs. */
const NOWHERE = { writeMemory: () => Promise.resolve() };

/** Cases of the suite about a machine that is watched and held back; it runs before and after. */
export async function casesOfWatching(pair: GuestPair, t: Deno.TestContext): Promise<void> {
  await t.step("a machine is watched without being touched", async () => {
    const { memoryBytes, disks } = await pair.source.describe();
    const sample = await watch(pair);
    const [short, long] = sample.memory.windows;
    assert.equal(sample.memory.windows.length, 2);
    assert.ok(short.ms < long.ms && long.ms < 3_000, `${short.ms} and ${long.ms} ms`);
    for (const { distinctBytes } of [short, long]) {
      assert.ok(distinctBytes > 0 && distinctBytes < memoryBytes, String(distinctBytes));
      assert.ok(Number.isSafeInteger(distinctBytes));
    }
    const { zeroShare, wireRatio, rewriteRatio } = sample.memory;
    assert.ok(zeroShare !== null && zeroShare > 0 && zeroShare < 1, `zero: ${zeroShare}`);
    assert.ok(wireRatio !== null && wireRatio > 0 && wireRatio <= 1, `first: ${wireRatio}`);
    assert.ok(rewriteRatio === null || (rewriteRatio > 0 && rewriteRatio <= 1));
    assert.deepEqual(sample.disks.map(({ id }) => id), disks.map(({ id }) => id));
    assert.ok(writtenBytesPerSecond(sample) > 0, "the disks were not written");
    await isClean(pair);
  });

  await t.step("a watch that is given up leaves nothing, and the next one works", async () => {
    const giveUp = new AbortController();
    const given = new Error("given up");
    const { scratchDirectory } = pair;
    const watched = pair.source.sampleDirtyRate({
      ...{ seconds: 4, scratchDirectory, signal: giveUp.signal },
    });
    await pair.untilItWorked(pair.source);
    giveUp.abort(given);
    await assert.rejects(watched);
    await isClean(pair);
    await assert.rejects(() => pair.source.sampleDirtyRate({ seconds: 1, signal: giveUp.signal }));
    await assert.rejects(() => pair.source.sampleDirtyRate({ seconds: 0 }), RangeError);
    await assert.rejects(() => pair.destination.sampleDirtyRate({ seconds: 1 }), {
      code: "guest_state",
    });
  });

  await t.step("capped disks write what the cap allows, and freely after restore", async () => {
    const book = notebook(pair.scratchDirectory, "capped");
    await pair.source.source.begin(book.options);
    for (const cap of [4 * CAP_BYTES_PER_SECOND, CAP_BYTES_PER_SECOND]) {
      await pair.source.source.throttleDisks(cap);
    }
    await assert.rejects(() => pair.source.source.throttleDisks(0), RangeError);
    const sample = await pair.source.sampleDirtyRate({ seconds: 2 });
    // Contents are not looked at where they had to leave the machine.
    assert.equal(sample.memory.zeroShare === null, pair.source.kind === "qemu");
    const [{ ms }] = sample.disks;
    const capped = writtenBytesPerSecond(sample);
    const most = 1.1 * CAP_BYTES_PER_SECOND + 2 * WRITE_BYTES * 1000 / ms;
    assert.ok(capped <= most, `${capped} bytes/s at a cap of ${CAP_BYTES_PER_SECOND}`);
    for (const { bytes } of await pair.source.source.dirtyDisks()) {
      assert.ok(Number.isSafeInteger(bytes));
    }
    await pair.source.source.restore(book.notes, book.options);
    await writesMoreThan(pair.source, most);
  });

  await t.step("a cap is lifted by null, and by restore after a crash", async () => {
    const book = notebook(pair.scratchDirectory, "lifted");
    const most = CAP_BYTES_PER_SECOND + WRITE_BYTES;
    await pair.source.source.begin(book.options);
    await pair.source.source.throttleDisks(CAP_BYTES_PER_SECOND);
    await pair.source.source.throttleDisks(null);
    await writesMoreThan(pair.source, most);
    await pair.source.source.throttleDisks(CAP_BYTES_PER_SECOND);
    pair.source = await pair.reattachSource();
    await pair.source.source.restore(book.notes, book.options);
    await writesMoreThan(pair.source, most);
  });

  await t.step("processors are held back with leave only, and until the stream ends", async () => {
    const without = notebook(pair.scratchDirectory, "unthrottled");
    await pair.source.source.begin(without.options);
    const refused = await pair.source.source.startMemory();
    assert.equal((await refused.progress()).cpuThrottleShare, null);
    await assert.rejects(() => refused.throttleCpu(0.5), { code: "throttle_not_possible" });
    await refused.cancel();
    await pair.source.source.restore(without.notes, without.options);

    const book = notebook(pair.scratchDirectory, "throttled");
    const options = { ...book.options, mayThrottleCpu: true };
    await pair.source.source.begin(options);
    const stream = await pair.source.source.startMemory();
    const pipe = new MemoryPipe(stream, NOWHERE);
    await pipe.untilPass(2);
    const before = (await pipe.race(stream.progress())).cpuThrottleShare;
    assert.ok(before !== null && before <= 0.01, `held back by ${before} unasked`);
    await stream.throttleCpu(0.9);
    await assert.rejects(() => stream.throttleCpu(1), RangeError);
    while ((await pipe.race(stream.progress())).cpuThrottleShare !== 0.9) {
      await pair.source.runState();
    }
    await pair.untilItWorked(pair.source);
    await stream.throttleCpu(0.3);
    assert.equal((await pipe.race(stream.progress())).cpuThrottleShare, 0.9);
    await stream.cancel();
    await pipe.drained;

    const next = await pair.source.source.startMemory();
    assert.ok((await next.progress()).cpuThrottleShare! <= 0.01, "the next stream began slow");
    await next.cancel();
    await pair.source.source.restore(book.notes, options);
    await pair.untilItWorked(pair.source);
  });
}

function watch(pair: GuestPair): Promise<DirtySample> {
  const { scratchDirectory } = pair;
  return pair.source.sampleDirtyRate({ seconds: 1, scratchDirectory });
}

async function writesMoreThan(guest: Guest, bytesPerSecond: number): Promise<void> {
  for (let look = 1;; look++) {
    const found = writtenBytesPerSecond(await guest.sampleDirtyRate({ seconds: 1 }));
    if (found > bytesPerSecond) return;
    assert.ok(look < LOOKS_MAX, `the disks get ${found} bytes/s, not ${bytesPerSecond}`);
  }
}

function writtenBytesPerSecond({ disks }: DirtySample): number {
  return disks.reduce((sum, disk) => sum + disk.writtenBytesPerSecond, 0);
}

async function isClean({ scratchDirectory, source }: GuestPair): Promise<void> {
  for await (const { name } of Deno.readDir(scratchDirectory)) {
    assert.ok(!name.startsWith("sample-"), `${name} was left behind`);
  }
  assert.equal(await source.runState(), "running");
}
