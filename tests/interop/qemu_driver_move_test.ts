import assert from "node:assert/strict";
import { connectQmp } from "../../src/qemu/qmp/client.ts";
import { startQemu } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import { dirtyBytes } from "../../src/migration/dirty_disks.ts";
import type { GuestEvent } from "../../src/guest/guest.ts";
import {
  attach,
  clock,
  copyRound,
  createTwoDisks,
  inDirectory,
  moveOptions,
  pump,
  sameContent,
  until,
} from "./qemu_driver_support.ts";

const MEMORY_MIB = 160;
const RETURN_BITMAP = "causeway-return";
const WORKLOAD = { memoryMiB: 16, diskKiBPerSecond: 1000 };

Deno.test(
  "a busy machine moves after two cancelled streams, verifies itself, and its disks are equal",
  await requires("qemu", "qemuUtils", "guestImage", "cpio"),
  (t) =>
    inDirectory(async (directory) => {
      const sourceDisks = await createTwoDisks(directory, "s");
      const targetDisks = await createTwoDisks(directory, "d");
      const machine = { directory, memoryMiB: MEMORY_MIB, workload: WORKLOAD };
      await using a = await startQemu({ ...machine, name: "s", disks: sourceDisks });
      await using b = await startQemu({
        ...machine,
        name: "d",
        disks: targetDisks,
        incoming: true,
        extraArgs: ["-qmp", `unix:${directory}/look,server=on,wait=off`],
      });
      await a.waitReady();
      await using source = await attach(a.qmpPath);
      await using target = await attach(b.qmpPath, "incoming");
      const events: string[] = [];
      const note = (site: string) => (event: GuestEvent) => events.push(`${site} ${event.kind}`);
      source.onEvent(note("source"));
      target.onEvent(note("target"));

      await t.step("the preflight finds nothing between two equal machines", async () => {
        const [mine, theirs] = [await source.describe(), await target.describe()];
        assert.deepEqual(await source.source.preflight(theirs), []);
        assert.deepEqual(await target.destination.preflight(mine), []);
      });

      const options = moveOptions(`${directory}/out`);
      await target.destination.prepare(moveOptions(`${directory}/in`));
      await source.source.begin(options);

      await t.step("disk rounds shrink to what the guest wrote meanwhile", async () => {
        const first = await copyRound(source, target);
        assert.deepEqual(first.rounds.map(({ diskId }) => diskId), ["vd0", "vd1"]);
        await Promise.all(first.rounds.map((round) => round.finish(true)));
        await until(
          "the guest writes",
          async () => dirtyBytes(await source.source.dirtyDisks()) > 0,
        );
        const second = await copyRound(source, target);
        assert.ok(second.dataBytes > 0, "the guest has written");
        // Not kept: the next round has to bring it again.
        await Promise.all(second.rounds.map((round) => round.finish(false)));
        assert.ok(dirtyBytes(await source.source.dirtyDisks()) >= second.dataBytes);
      });

      await t.step("a stream cancelled in its first pass leaves the machine running", async () => {
        const stream = await source.source.startMemory();
        const pumped = pump(stream, target);
        await until("half of the memory", async () => {
          const { remainingBytes, totalBytes } = await stream.progress();
          return remainingBytes < totalBytes / 2;
        });
        await stream.cancel();
        await pumped;
        assert.equal(await source.runState(), "running");
        assert.deepEqual(events, []);
        await target.destination.resetMemory();
      });

      await t.step("a stream cancelled at the gate, after the last disk round, too", async () => {
        const stream = await source.source.startMemory();
        const pumped = pump(stream, target);
        await until("the first pass", async () => (await stream.progress()).pass > 1);
        await stream.pauseAtGate();
        assert.equal(await source.runState(), "paused");
        const last = await copyRound(source, target);
        await stream.cancel();
        await Promise.all(last.rounds.map((round) => round.finish(false)));
        await pumped;
        assert.equal(await source.runState(), "running");
        assert.deepEqual(events.splice(0), ["source stopped", "source resumed"]);
        assert.match(await a.ask("ping"), /^pong/);
        await target.destination.resetMemory();
      });

      await t.step("the third stream continues the first and the machine moves", async () => {
        const stream = await source.source.startMemory();
        const pumped = pump(stream, target);
        await until("the first pass", async () => (await stream.progress()).pass > 1);
        const { pausedAtMs } = await stream.pauseAtGate();
        const last = await copyRound(source, target);
        await Promise.all([stream.finish(), pumped]);
        assert.equal(await source.runState(), "postmigrate");
        await target.destination.sealDisks();
        await target.destination.load();
        assert.equal(await target.runState(), "paused");
        const beganMs = clock.nowMs();
        // Neither runs: whatever differs now was lost.
        for (const [index, { path, format }] of sourceDisks.entries()) {
          assert.ok(await sameContent(path, targetDisks[index].path, format), `${path} differs`);
        }
        const comparedMs = clock.nowMs() - beganMs;
        await target.destination.start();
        const pauseMs = clock.nowMs() - pausedAtMs - comparedMs;
        assert.equal(await target.runState(), "running");
        await until("the return bitmaps record", async () => {
          const drives = await returnBitmaps(`${directory}/look`);
          return drives.length === 2 && drives.every((recording) => recording);
        });
        assert.ok(pauseMs < 3000, `paused for ${pauseMs} ms`);
        await Promise.all(last.rounds.map((round) => round.finish(true)));
        await source.source.retire(false);
        assert.equal(await source.runState(), "gone");
        assert.match(await b.ask("verify"), /^verify ok/);
      });

      await t.step("a machine that powers itself off is reported as gone", async () => {
        await b.ask("poweroff");
        await b.exited;
        await until("the event", () => events.at(-1) === "target gone");
        assert.equal(await target.runState(), "gone");
      });
    }),
);

/** Whether the return bitmap of each disk records, asked over a monitor of the test's own. */
async function returnBitmaps(qmpPath: string): Promise<boolean[]> {
  const look = await connectQmp(qmpPath, { clock });
  const blocks = await look.execute("query-block") as {
    inserted?: { "dirty-bitmaps"?: { name: string; recording: boolean }[] };
  }[];
  look.close();
  return blocks.flatMap(({ inserted }) => inserted?.["dirty-bitmaps"] ?? [])
    .filter(({ name }) => name === RETURN_BITMAP).map(({ recording }) => recording);
}
