import assert from "node:assert/strict";
import { attachQemu } from "../../src/qemu/qemu_guest.ts";
import { StreamEndDetector } from "../../src/qemu/source/stream_end.ts";
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
  sameContent,
  startBare,
} from "./qemu_driver_support.ts";

const NEEDS = await requires("qemu", "qemuUtils");
/** Longer than the silence after which a stream without a visible end counts as complete. */
const HELD_UP_MS = 400;
const INCOMING = ["-incoming", "defer", "-S"];

Deno.test(
  "a machine on another host is moved over TCP alone",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      const ports = [freePort(), freePort()];
      const argv = (site: number, ...more: string[]) =>
        bareArgv(
          64,
          ...diskArgv("vd0", `${directory}/${site}`, "raw"),
          ...["-qmp", `tcp:127.0.0.1:${ports[site]},server=on,wait=off`, ...more],
        );
      const content = crypto.getRandomValues(new Uint8Array(65_536));
      for (const site of [0, 1]) await createDisk(`${directory}/${site}`, "raw", 4);
      using file = await Deno.open(`${directory}/0`, { write: true });
      await file.write(content);
      await using _a = await startBare(directory, "s", argv(0));
      await using _b = await startBare(directory, "d", argv(1, ...INCOMING));
      const [source, target] = await Promise.all(([0, 1] as const).map((site) =>
        attachQemu({
          id: "vm",
          definition: {
            kind: "qemu",
            role: site === 0 ? "source" : "incoming",
            qmp: `tcp:127.0.0.1:${ports[site]}`,
            data: "127.0.0.1",
          },
          stateDirectory: "/nonexistent",
          clock,
        })
      ));
      assert.deepEqual(await target.destination.preflight(await source.describe()), []);
      const options = moveOptions(`${directory}/out`);
      await source.source.begin(options);
      await target.destination.prepare(moveOptions(`${directory}/in`));
      const round = await copyRound(source, target);
      assert.equal(round.dataBytes, content.length);
      const stream = await source.source.startMemory();
      const pumped = pump(stream, target);
      await stream.pauseAtGate();
      await Promise.all([stream.finish(), pumped]);
      await target.destination.sealDisks();
      await target.destination.load();
      assert.ok(await sameContent(`${directory}/0`, `${directory}/1`, "raw"));
      await target.destination.start();
      await Promise.all(round.rounds.map((each) => each.finish(true)));
      await source.source.retire(false);
      assert.equal(await source.runState(), "gone");
      assert.equal(await target.runState(), "running");
      await target.detach();
    }),
);

Deno.test(
  "a reader that is held up in the device state gets the stream to its end all the same",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      // Their state and its description do not fit into a socket: it comes in more than one piece.
      const cards = Array.from({ length: 24 }, (_, n) => ["-device", `e1000,id=card${n},romfile=`]);
      const argv = [...bareArgv(64), ...cards.flat()];
      await using a = await startBare(directory, "s", argv);
      await using b = await startBare(directory, "d", [...argv, ...INCOMING]);
      await using source = await attach(a.qmpPath);
      await using target = await attach(b.qmpPath, "incoming");
      await source.source.begin(moveOptions(`${directory}/out`));
      await target.destination.prepare(moveOptions(`${directory}/in`));
      const stream = await source.source.startMemory();
      let finished: Promise<unknown> | null = null;
      let groupsHeldUp = 0;
      const pumped = (async () => {
        for await (const items of stream.items()) {
          await target.destination.writeMemory(items);
          if (finished === null || groupsHeldUp === 3) continue;
          // As when pages before it wait for the link: QEMU must not be told that all was read.
          groupsHeldUp++;
          await Promise.race([finished, clock.sleep(HELD_UP_MS)]);
        }
      })();
      await stream.pauseAtGate();
      finished = stream.finish();
      await Promise.all([finished, pumped]);
      assert.ok(groupsHeldUp > 1, "the state came in one piece");
      await target.destination.sealDisks();
      await target.destination.load();
      assert.equal(await target.runState(), "paused");
    }),
);

Deno.test(
  "a stream without its closing description is found complete by its silence",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      const argv = withMachineOptions(bareArgv(64), "suppress-vmdesc=on");
      await using a = await startBare(directory, "s", argv);
      await using b = await startBare(directory, "d", [...argv, ...INCOMING]);
      await using source = await attach(a.qmpPath);
      await using target = await attach(b.qmpPath, "incoming");
      await source.source.begin(moveOptions(`${directory}/out`));
      await target.destination.prepare(moveOptions(`${directory}/in`));
      const stream = await source.source.startMemory();
      const pumped = pump(stream, target);
      await stream.pauseAtGate();
      await Promise.all([stream.finish(), pumped]);
      await target.destination.sealDisks();
      await target.destination.load();
      await target.destination.start();
      assert.equal(await target.runState(), "running");
    }),
);

Deno.test(
  "a stream that is read slowly keeps its end",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      // More state than a socket holds, so that no single read can take all of it.
      const cards = Array.from({ length: 28 }, () => ["-device", "virtio-net-pci,romfile="]);
      await using a = await startBare(directory, "s", bareArgv(64, ...cards.flat()));
      await using source = await attach(a.qmpPath);
      await source.source.begin(moveOptions(`${directory}/out`));
      const stream = await source.source.startMemory();
      const end = new StreamEndDetector();
      let isWhole = false;
      let isFinishing = false;
      const read = (async () => {
        for await (const items of stream.items()) {
          for (const item of items) if (item.kind === "opaque") isWhole = end.push(item.bytes);
          // As where a link takes the last pages slowly: much longer than the silence that counts.
          if (isFinishing) await clock.sleep(300);
        }
      })();
      await stream.pauseAtGate();
      isFinishing = true;
      await Promise.all([stream.finish(), read]);
      assert.ok(isWhole, "the stream ended before its description");
      await source.source.retire(false);
    }),
);

for (
  const [name, errno, code] of [["full", 28, "disk_full"], ["broken", 5, "nbd_io_error"]] as const
) {
  Deno.test(
    `a ${name} disk at the destination says so, and the machine can be ended`,
    NEEDS,
    () =>
      inDirectory(async (directory) => {
        await createDisk(`${directory}/0`, "raw", 4);
        const failing = {
          driver: "blkdebug",
          "node-name": "failing",
          image: { driver: "file", filename: `${directory}/0` },
          "inject-error": [{ event: "none", iotype: "write", errno }],
        };
        const argv = bareArgv(
          64,
          ...[
            "-blockdev",
            JSON.stringify(failing),
            "-device",
            "virtio-blk-pci,id=vd0,drive=failing",
          ],
        );
        await using b = await startBare(directory, "d", [...argv, ...INCOMING]);
        await using target = await attach(b.qmpPath, "incoming");
        await target.destination.prepare(moveOptions(`${directory}/in`));
        await assert.rejects(
          target.destination.writeDisk("vd0", 0, new Uint8Array(65_536).fill(1)),
          { code },
        );
        await target.destination.abandon();
        assert.equal(await target.runState(), "gone");
      }),
  );
}

Deno.test(
  "a UEFI variable store travels like a disk",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      const argv = (site: string) => {
        const nodes = [
          ...["-blockdev", `driver=file,node-name=code,read-only=on,filename=${directory}/code`],
          ...["-blockdev", `driver=file,node-name=vars,filename=${directory}/${site}`],
        ];
        return withMachineOptions(bareArgv(64, ...nodes, "-S"), "pflash0=code,pflash1=vars");
      };
      const vars = crypto.getRandomValues(new Uint8Array(65_536));
      await Deno.writeFile(`${directory}/code`, new Uint8Array(262_144));
      await Deno.writeFile(`${directory}/s`, vars);
      await Deno.writeFile(`${directory}/d`, new Uint8Array(vars.length));
      await using a = await startBare(directory, "s", argv("s"));
      await using b = await startBare(directory, "d", [...argv("d"), ...INCOMING]);
      await using source = await attach(a.qmpPath);
      await using target = await attach(b.qmpPath, "incoming");
      const { disks } = await source.describe();
      assert.deepEqual(
        disks.map(({ id, readOnly }) => [id, readOnly]),
        [["system.flash0", true], ["system.flash1", false]],
      );
      const findings = await source.source.preflight(await target.describe());
      assert.deepEqual(findings.map(({ severity }) => severity), ["warning"]);
      await source.source.begin(moveOptions(`${directory}/out`));
      await target.destination.prepare(moveOptions(`${directory}/in`));
      await copyRound(source, target);
      await target.destination.sealDisks();
      assert.deepEqual(await Deno.readFile(`${directory}/d`), vars);
    }),
);

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function withMachineOptions(argv: readonly string[], options: string): string[] {
  return argv.map((arg, index) => argv[index - 1] === "-machine" ? `${arg},${options}` : arg);
}
