import assert from "node:assert/strict";
import { dirtyBytes } from "../../src/migration/dirty_disks.ts";
import type { Guest, MemorySource } from "../../src/guest/guest.ts";
import { createDisk, type QemuProcess, startQemu } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import { attach, clock, inDirectory, moveOptions, until } from "./qemu_driver_support.ts";

const MEBIBYTE = 1024 * 1024;
const FILES = 12;
/** QEMU's timer has to find twice in a row, 5 s apart, that no pass has ended. */
const STOPPED_READING_MS = 11_000;
/** QEMU sends 32 pages at a time, and looks at its bound ten times a second. */
const STEP_BYTES_PER_SECOND = 10 * 32 * 4096;

/** An idle machine; each case leaves it so. */
interface World {
  readonly guest: Guest;
  readonly process: QemuProcess;
  readonly directory: string;
}

const CASES: Record<string, (world: World) => Promise<void>> = {
  async "a watch tells a known writer from an idle machine, memory and disk"({ guest, process }) {
    const watch = async () => {
      const before = await counts(process);
      const sample = await guest.sampleDirtyRate({ seconds: 2 });
      const after = await counts(process);
      return { sample, memory: after.memory - before.memory, disk: after.disk - before.disk };
    };
    const idle = await watch();
    assert.equal(idle.sample.disks[0].writtenBytesPerSecond, 0);
    await process.ask("rate memory 8192");
    await process.ask("rate disk 512");
    await until("it writes", async () => (await counts(process)).disk > 1);
    const busy = await watch();
    for (const what of ["memory", "disk"]) await process.ask(`rate ${what} 0`);
    const [short, long] = busy.sample.memory.windows;
    // Files of 1 MiB, chosen at random, a twentieth of the writes storing what was there.
    const filesOf = (written: number) => FILES * (1 - ((FILES - 1) / FILES) ** written);
    // Of the short one only that: on a busy computer a machine does not write evenly.
    const most = (filesOf(busy.memory) + 8) * MEBIBYTE;
    assert.ok(short.distinctBytes > 0 && short.distinctBytes < most, `${short.distinctBytes}`);
    assert.ok(short.ms < long.ms, `${short.ms} and ${long.ms} ms`);
    const files = filesOf(busy.memory * long.ms / (short.ms + long.ms));
    assert.ok(long.distinctBytes > 0.4 * files * MEBIBYTE, `${long.distinctBytes} of ${files}`);
    assert.ok(long.distinctBytes < (files + 8) * MEBIBYTE, `${long.distinctBytes} of ${files}`);
    assert.ok(idle.sample.memory.windows[1].distinctBytes < long.distinctBytes / 2);
    const [{ writtenBytesPerSecond, ms }] = busy.sample.disks;
    const blocks = writtenBytesPerSecond * ms / 1000 / (128 * 1024);
    assert.ok(Math.abs(blocks - busy.disk) <= 3, `${blocks} blocks of ${busy.disk}`);
  },

  async "what waits for a cap counts as dirty before a pause lets it through"(world) {
    const { guest, process, directory } = world;
    const options = moveOptions(`${directory}/x`);
    await guest.source.begin(options);
    for (const round of await guest.source.beginDiskRound()) await round.finish(true);
    await guest.source.throttleDisks(100_000);
    // 4 MiB, through the guest's page cache; its kernel makes few, large writes of it.
    const write = "dd if=/pool/random of=/dev/vda bs=64k; sync";
    await process.ask(`run (${write}) >/dev/null 2>&1 &`);
    let foretold = 0;
    await until("writes wait for the cap", async () => {
      foretold = dirtyBytes(await guest.source.dirtyDisks());
      return foretold > 2 * MEBIBYTE;
    });
    const written = (await guest.sampleDirtyRate({ seconds: 1 })).disks[0];
    assert.ok(written.writtenBytesPerSecond < MEBIBYTE, "the writes did not wait");
    await guest.source.pause();
    const dirty = dirtyBytes(await guest.source.dirtyDisks());
    // The writes differ in size, so that their mean is not exact.
    assert.ok(dirty > 2 * MEBIBYTE, `${dirty} bytes at the pause`);
    assert.ok(foretold > dirty / 2 && foretold < dirty * 2.5, `${foretold} foretold of ${dirty}`);
    // The gateway's own reading is not capped: 2 MiB would take 20 s.
    const startedMs = clock.nowMs();
    for (const round of await guest.source.beginDiskRound()) {
      for (const { kind, offsetBytes, lengthBytes } of round.extents) {
        if (kind === "data") await round.read(offsetBytes, new Uint8Array(lengthBytes));
      }
      await round.finish(true);
    }
    assert.ok(clock.nowMs() - startedMs < 5_000, "the last round was slowed");
    await guest.source.restore(options.notes, options);
    assert.equal(await guest.runState(), "running");
  },

  async "a new bandwidth holds within a second on a stream that runs"({ guest, directory }) {
    const options = moveOptions(`${directory}/x`);
    await guest.source.begin(options);
    const stream = await guest.source.startMemory();
    // Before it is read: QEMU would send all of a small memory in the moment until it is bound.
    await stream.setBandwidth(MEBIBYTE);
    const reader = new Reader(stream);
    for (const bytesPerSecond of [8 * MEBIBYTE, 2 * MEBIBYTE]) {
      await stream.setBandwidth(bytesPerSecond);
      // What was sent before the change may still be on its way.
      await clock.sleep(1_000);
      const [fromMs, fromBytes] = [clock.nowMs(), reader.bytes];
      await clock.sleep(1_000);
      const rate = (reader.bytes - fromBytes) / (clock.nowMs() - fromMs) * 1000;
      const most = 1.1 * bytesPerSecond + STEP_BYTES_PER_SECOND;
      assert.ok(rate < most, `${rate} bytes/s at a bound of ${bytesPerSecond}`);
      // A busy host may keep QEMU from more than a part of it, but not below the bound before.
      assert.ok(rate > 0.25 * bytesPerSecond, `${rate} bytes/s at a bound of ${bytesPerSecond}`);
    }
    await stream.cancel();
    await reader.drained;
    await guest.source.restore(options.notes, options);
  },

  async "a machine whose processors may be held back runs on while nobody reads it"(world) {
    const { guest, process, directory } = world;
    await process.ask("rate memory 8192");
    const options = { ...moveOptions(`${directory}/x`), mayThrottleCpu: true };
    await guest.source.begin(options);
    const stream = await guest.source.startMemory();
    const reader = new Reader(stream);
    await until("the second pass", async () => (await stream.progress()).pass >= 2);
    reader.pause();
    const endMs = clock.nowMs() + STOPPED_READING_MS;
    const before = await counts(process);
    let slowestMs = 0;
    while (clock.nowMs() < endMs) {
      const askedMs = clock.nowMs();
      await guest.runState();
      slowestMs = Math.max(slowestMs, clock.nowMs() - askedMs);
      await clock.sleep(100);
    }
    assert.ok(slowestMs < 2_500, `the monitor answered after ${slowestMs} ms`);
    assert.ok((await counts(process)).memory > before.memory, "the machine did no work");
    await process.ask("rate memory 0");
    reader.resume();
    // Nothing of the stream was lost: the machine pauses at its gate as after any other.
    await Promise.race([stream.pauseAtGate(), reader.drained.then(() => assert.fail("it ended"))]);
    await stream.cancel();
    await reader.drained;
    await guest.source.restore(options.notes, options);
  },

  async "processors get what is left to them, and all of it back after the stream"(world) {
    const { guest, process, directory } = world;
    const loop = "n=0; while :; do n=$((n + 1)); echo $n; done";
    await process.ask(`run (${loop}) >/run/turns 2>&1 &`);
    const turns = async () =>
      Number(/\d{2,}/.exec(await process.ask("run tail -n1 /run/turns"))?.[0]);
    const turnsPerSecond = async () => {
      const [fromMs, before] = [clock.nowMs(), await turns()];
      await clock.sleep(1_500);
      return (await turns() - before) / (clock.nowMs() - fromMs) * 1000;
    };
    const options = { ...moveOptions(`${directory}/x`), mayThrottleCpu: true };
    await guest.source.begin(options);
    const stream = await guest.source.startMemory();
    const reader = new Reader(stream);
    await until("the second pass", async () => (await stream.progress()).pass >= 2);
    const free = await turnsPerSecond();
    await stream.throttleCpu(0.9);
    await until("QEMU obeys", async () => (await stream.progress()).cpuThrottleShare === 0.9);
    const slow = await turnsPerSecond();
    assert.ok(slow < 0.4 * free, `${slow} turns/s of ${free} with a tenth of the processors`);
    await stream.cancel();
    await reader.drained;
    await guest.source.restore(options.notes, options);
    const after = await turnsPerSecond();
    assert.ok(after > 2 * slow, `${after} turns/s after the stream, ${slow} during it`);
  },
};

/** Reads a stream to its end, with pauses. */
class Reader {
  bytes = 0;
  readonly drained: Promise<void>;
  #gate = Promise.withResolvers<void>();

  constructor(stream: MemorySource) {
    this.#gate.resolve();
    this.drained = this.#read(stream);
    // A case that fails ends the machine: that must not hide what failed.
    this.drained.catch(() => {});
  }

  pause(): void {
    this.#gate = Promise.withResolvers();
  }

  resume(): void {
    this.#gate.resolve();
  }

  async #read(stream: MemorySource): Promise<void> {
    for await (const items of stream.items()) {
      for (const item of items) if (item.kind === "pages") this.bytes += item.contents.length;
      await this.#gate.promise;
    }
  }
}

async function counts(process: QemuProcess): Promise<{ memory: number; disk: number }> {
  const [, memory, disk] = /memory=(\d+) disk=(\d+)/.exec(await process.ask("status"))!;
  return { memory: Number(memory), disk: Number(disk) };
}

Deno.test(
  "a real machine is watched and held back",
  await requires("qemu", "qemuUtils", "guestImage", "cpio"),
  (t) =>
    inDirectory(async (directory) => {
      const disk = { id: "vd0", path: `${directory}/0.raw`, format: "raw" as const };
      await createDisk(disk.path, "raw", 64);
      const workload = { memoryMiB: FILES, memoryKiBPerSecond: 0, diskKiBPerSecond: 0 };
      const machine = { directory, memoryMiB: 144, disks: [disk], workload };
      await using process = await startQemu(machine);
      await process.waitReady();
      await using guest = await attach(process.qmpPath);
      for (const [name, run] of Object.entries(CASES)) {
        await t.step(name, () => run({ guest, process, directory }));
      }
    }),
);
