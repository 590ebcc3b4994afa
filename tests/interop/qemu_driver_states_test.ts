import assert from "node:assert/strict";
import type { GuestEvent } from "../../src/guest/guest.ts";
import { createDisk } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import {
  attach,
  bareArgv,
  clock,
  copyRound,
  diskArgv,
  inDirectory,
  moveOptions,
  pump,
  startBare,
  until,
} from "./qemu_driver_support.ts";

const INCOMING = ["-incoming", "defer", "-S"];

Deno.test(
  "a machine held at the switchover neither spins nor waits long for its release",
  await requires("qemu"),
  () =>
    inDirectory(async (directory) => {
      await using machine = await startBare(directory, "vm", bareArgv(64));
      await using guest = await attach(machine.qmpPath);
      const options = moveOptions(`${directory}/x`);
      await guest.source.begin(options);
      const stream = await guest.source.startMemory();
      const pumped = pump(stream, null);
      await until("the first pass", async () => (await stream.progress()).remainingBytes === 0);
      await clock.sleep(300);

      const before = { pass: (await stream.progress()).pass, cpuMs: await cpuMs(machine.pid) };
      await clock.sleep(1000);
      const passes = (await stream.progress()).pass - before.pass;
      const spentMs = await cpuMs(machine.pid) - before.cpuMs;
      assert.ok(passes >= 1, "it looks for dirty pages now and then");
      assert.ok(passes < 500, `${passes} passes in a second`);
      assert.ok(spentMs < 300, `${spentMs} ms of CPU in a second`);
      assert.equal(await guest.runState(), "running");

      const releasedMs = clock.nowMs();
      const { pausedAtMs } = await stream.pauseAtGate();
      assert.ok(pausedAtMs >= releasedMs);
      assert.ok(clock.nowMs() - releasedMs < 1000, `gate after ${clock.nowMs() - releasedMs} ms`);
      await stream.cancel();
      await pumped;
      assert.equal(await guest.runState(), "running");
      await guest.source.restore(options.notes, options);
    }),
);

Deno.test(
  "a machine that was paused arrives paused, and stays paused where it is given back",
  await requires("qemu", "qemuUtils"),
  () =>
    inDirectory(async (directory) => {
      const argv = (site: string) =>
        bareArgv(64, ...diskArgv("vd0", `${directory}/${site}.raw`, "raw"));
      for (const site of ["s", "d"]) await createDisk(`${directory}/${site}.raw`, "raw", 8);
      await using a = await startBare(directory, "s", argv("s"));
      await using b = await startBare(directory, "d", [...argv("d"), ...INCOMING]);
      await using source = await attach(a.qmpPath);
      await using target = await attach(b.qmpPath, "incoming");
      await source.source.pause();
      const options = moveOptions(`${directory}/out`);
      await source.source.begin(options);
      assert.equal(options.notes.wasRunning, false);

      const cancelled = await source.source.startMemory();
      const drained = pump(cancelled, null);
      await cancelled.pauseAtGate();
      await Promise.all([cancelled.finish(), drained]);
      assert.equal(await source.runState(), "postmigrate");
      await source.source.restore(options.notes, options);
      await until("it stands still", async () => await source.runState() === "paused");

      await target.destination.prepare(moveOptions(`${directory}/in`));
      await source.source.begin(options);
      const round = await copyRound(source, target);
      const stream = await source.source.startMemory();
      const pumped = pump(stream, target);
      await stream.pauseAtGate();
      await Promise.all([stream.finish(), pumped]);
      await target.destination.sealDisks();
      await target.destination.load();
      await Promise.all(round.rounds.map((each) => each.finish(true)));
      await source.source.retire(true);
      assert.equal(await source.runState(), "postmigrate");
      assert.equal(await target.runState(), "paused");
      assert.deepEqual(await b.look.execute("query-block-exports"), []);
    }),
);

Deno.test(
  "a killed machine is gone for whoever waits for it, at the source and at the destination",
  await requires("qemu", "qemuUtils"),
  () =>
    inDirectory(async (directory) => {
      const argv = bareArgv(64, ...diskArgv("vd0", `${directory}/0.raw`, "raw"));
      await createDisk(`${directory}/0.raw`, "raw", 8);
      await using a = await startBare(directory, "s", argv);
      await using source = await attach(a.qmpPath);
      const events: GuestEvent[] = [];
      source.onEvent((event) => events.push(event));
      await source.source.begin(moveOptions(`${directory}/out`));
      const [round] = await source.source.beginDiskRound();
      const stream = await source.source.startMemory();
      const pumped = pump(stream, null);
      await until("the first pass", async () => (await stream.progress()).remainingBytes === 0);
      // It fails while nobody waits for it yet.
      pumped.catch(() => {});
      await a.kill();
      const failures = await Promise.allSettled([
        pumped,
        round.read(0, new Uint8Array(4096)),
        source.source.dirtyDisks(),
        stream.pauseAtGate(),
        source.describe(),
      ]);
      assert.deepEqual(
        failures.map((each) => each.status === "rejected" ? each.reason.code : each),
        failures.map(() => "guest_gone"),
      );
      await until("the event", () => events.some(({ kind }) => kind === "gone"));
      assert.equal(await source.runState(), "gone");
      await stream.cancel().catch(({ code }) => assert.equal(code, "guest_gone"));
      await source.end();

      await using b = await startBare(directory, "d", [...argv, ...INCOMING]);
      await using target = await attach(b.qmpPath, "incoming");
      await target.destination.prepare(moveOptions(`${directory}/in`));
      await target.destination.writeDisk("vd0", 0, new Uint8Array(4096));
      await b.kill();
      for (
        const call of [
          target.destination.writeDisk("vd0", 0, new Uint8Array(4096)),
          target.destination.flushDisks(),
          target.destination.load(),
        ]
      ) {
        await assert.rejects(call, { code: "guest_gone" });
      }
      await target.destination.abandon();
    }),
);

Deno.test(
  "a machine that does not fit refuses the load with QEMU's reason and is ended by abandon",
  await requires("qemu"),
  () =>
    inDirectory(async (directory) => {
      const more = ["-device", "virtio-rng-pci,id=rng0,addr=05.0"];
      await using a = await startBare(directory, "s", bareArgv(64, ...more));
      await using b = await startBare(directory, "d", bareArgv(64, ...INCOMING));
      await using source = await attach(a.qmpPath);
      await using target = await attach(b.qmpPath, "incoming");
      const findings = await source.source.preflight(await target.describe());
      assert.deepEqual(findings.map(({ code }) => code), ["device_ids_differ"]);
      assert.match(findings[0].message, /rng0 \(virtio-rng-pci at 05\.0\) only here/);

      // Moved all the same, as if the preflight could not have seen it.
      const options = moveOptions(`${directory}/out`);
      await source.source.begin(options);
      await target.destination.prepare(moveOptions(`${directory}/in`));
      const stream = await source.source.startMemory();
      const pumped = pump(stream, target);
      await stream.pauseAtGate();
      await Promise.all([stream.finish(), pumped]);
      await target.destination.sealDisks();
      await assert.rejects(target.destination.load(), {
        code: "memory_load_failed",
        message: /load of migration failed/,
      });
      await target.destination.abandon();
      await b.exited;
      assert.equal(await target.runState(), "gone");
      await source.source.restore(options.notes, options);
      assert.equal(await source.runState(), "running");
    }),
);

Deno.test(
  "a gateway that restarts beside a loaded machine starts it, or ends it",
  await requires("qemu", "qemuUtils"),
  () =>
    inDirectory(async (directory) => {
      const argv = (site: string) =>
        bareArgv(64, ...diskArgv("vd0", `${directory}/${site}.raw`, "raw"));
      for (const site of ["s", "d"]) await createDisk(`${directory}/${site}.raw`, "raw", 8);
      await using a = await startBare(directory, "s", argv("s"));
      await using b = await startBare(directory, "d", [...argv("d"), ...INCOMING]);
      await using source = await attach(a.qmpPath);
      const before = await attach(b.qmpPath, "incoming");
      await source.source.begin(moveOptions(`${directory}/out`));
      await before.destination.prepare(moveOptions(`${directory}/in`));
      await assert.rejects(before.destination.start(), { code: "memory_load_failed" });
      const stream = await source.source.startMemory();
      const pumped = pump(stream, before);
      await stream.pauseAtGate();
      await Promise.all([stream.finish(), pumped]);
      await before.destination.sealDisks();
      await before.destination.load();
      await before.detach();

      await using after = await attach(b.qmpPath, "incoming");
      assert.equal(await after.runState(), "paused");
      await after.destination.start();
      await after.destination.start();
      assert.equal(await after.runState(), "running");
      const parameters = await b.look.execute("query-migrate-parameters") as Record<string, number>;
      assert.equal(parameters["announce-rounds"], 5, "the machine announces itself again");
      await source.source.retire(true);
      const [{ inserted }] = await a.look.execute("query-block") as { inserted: unknown }[];
      assert.equal((inserted as Record<string, unknown>)["dirty-bitmaps"], undefined);
      assert.equal(await source.runState(), "postmigrate");
      await after.destination.abandon();
      await b.exited;
    }),
);

Deno.test(
  "a read-only medium is compared, and written only where it differs and nobody else reads it",
  await requires("qemu", "qemuUtils"),
  () =>
    inDirectory(async (directory) => {
      const same = crypto.getRandomValues(new Uint8Array(65_536));
      const image = new Uint8Array(1024 * 1024);
      image.set(same, 200_000);
      const names = ["s-a", "s-b", "d-a", "d-b"].map((name) => `${directory}/${name}`);
      for (const name of names) await Deno.writeFile(name, image);
      // The same medium, which nobody may write, and one that is older at the destination.
      await Deno.chmod(`${directory}/d-a`, 0o444);
      await Deno.writeFile(`${directory}/d-b`, new Uint8Array(1024 * 1024).fill(1));
      const argv = (site: string) => {
        const cd = (id: string) => [
          "-drive",
          `if=none,id=m${id},media=cdrom,readonly=on,format=raw,file=${directory}/${site}-${id}`,
          ...["-device", `ide-cd,drive=m${id},id=${id}`],
        ];
        return bareArgv(64, ...cd("a"), ...cd("b"));
      };
      await using a = await startBare(directory, "s", argv("s"));
      await using b = await startBare(directory, "d", [...argv("d"), ...INCOMING]);
      await using source = await attach(a.qmpPath);
      await using target = await attach(b.qmpPath, "incoming");
      const written = (await Deno.stat(`${directory}/d-a`)).mtime;
      const options = moveOptions(`${directory}/out`);
      await source.source.begin(options);
      await target.destination.prepare(moveOptions(`${directory}/in`));
      {
        // What somebody else reads is not changed under him, be it older or not.
        using _reader = await Deno.open(`${directory}/d-b`);
        const other = new Uint8Array(4096);
        await assert.rejects(target.destination.writeDisk("b", 0, other), {
          code: "read_only_media",
          message: /have it open/,
        });
      }
      const first = await copyRound(source, target);
      assert.deepEqual(first.rounds.map(({ diskId }) => diskId), ["a", "b"]);
      await Promise.all(first.rounds.map((round) => round.finish(true)));
      assert.deepEqual(await source.source.beginDiskRound(), [], "they travel once");
      const stream = await source.source.startMemory();
      const pumped = pump(stream, target);
      await stream.pauseAtGate();
      await Promise.all([stream.finish(), pumped]);
      await target.destination.sealDisks();
      await target.destination.load();
      await target.destination.start();
      await source.source.retire(false);
      assert.equal(await target.runState(), "running");
      assert.deepEqual(await Deno.readFile(`${directory}/d-b`), image);
      assert.deepEqual((await Deno.stat(`${directory}/d-a`)).mtime, written);
      const { disks } = await target.describe();
      assert.deepEqual(disks.map(({ readOnly }) => readOnly), [true, true]);
    }),
);

/** CPU time of a process so far; field 14 and 15 of its stat, in ticks of 10 ms (proc(5)). */
async function cpuMs(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
