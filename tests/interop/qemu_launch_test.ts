import assert from "node:assert/strict";
import { attachQemu, type QemuDefinition } from "../../src/qemu/qemu_guest.ts";
import { launchedPid, launchPaths } from "../../src/qemu/launch.ts";
import { requires } from "../../src/testing/requirements.ts";
import { bareArgv, clock, diskArgv, inDirectory } from "./qemu_driver_support.ts";

const MIB = 1024 * 1024;
const NEEDS = await requires("qemu", "qemuUtils");

function definitionIn(directory: string, role: "source" | "incoming" = "source"): QemuDefinition {
  const [raw, qcow2] = [`${directory}/0.raw`, `${directory}/1.qcow2`];
  return {
    kind: "qemu",
    role,
    launch: {
      argv: bareArgv(64, ...diskArgv("vd0", raw, "raw"), ...diskArgv("vd1", qcow2, "qcow2")),
      disks: [
        { id: "vd0", path: raw, format: "raw", sizeMiB: 16 },
        { id: "vd1", path: qcow2, format: "qcow2", sizeMiB: 24 },
      ],
    },
  };
}

function attach(directory: string, definition: QemuDefinition, mayStart = true) {
  return attachQemu({ id: "vm", definition, stateDirectory: directory, clock, mayStart });
}

Deno.test(
  "a launched machine outlives its gateway's process group and is found again",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      const definition = definitionIn(directory);
      const gateway = new Deno.Command(Deno.execPath(), {
        args: [
          ...["run", "--allow-all", `${import.meta.dirname}/qemu_launch_gateway.ts`],
          ...[directory, JSON.stringify(definition)],
        ],
        stdin: "null",
        stdout: "piped",
        stderr: "null",
        detached: true,
      }).spawn();
      const reader = gateway.stdout.getReader();
      assert.match(new TextDecoder().decode((await reader.read()).value), /launched/);
      const pid = await launchedPid(launchPaths(directory, "vm"));
      assert.ok(pid !== null);

      // The whole group, as a supervisor or a terminal does it.
      await new Deno.Command("kill", { args: ["-KILL", "--", `-${gateway.pid}`] }).output();
      await Promise.all([gateway.status, reader.cancel()]);

      const guest = await attach(directory, definition);
      assert.equal(await launchedPid(launchPaths(directory, "vm")), pid);
      const { disks, runState, memoryBytes } = await guest.describe();
      assert.equal(runState, "running");
      assert.equal(memoryBytes, 64 * MIB);
      assert.deepEqual(
        disks.map(({ id, sizeBytes, format }) => [id, sizeBytes, format]),
        [["vd0", 16 * MIB, "raw"], ["vd1", 24 * MIB, "qcow2"]],
      );
      assert.equal((await Deno.stat(`${directory}/0.raw`)).blocks, 0, "the raw disk is a hole");

      await guest.end();
      assert.equal(await guest.runState(), "gone");
      assert.equal(await launchedPid(launchPaths(directory, "vm")), null);
      await assert.rejects(attach(directory, definition, false), { code: "guest_gone" });
    }),
);

Deno.test(
  "an incoming machine waits, and is started afresh once it has ended",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      const definition = definitionIn(directory, "incoming");
      const first = await attach(directory, definition);
      assert.equal(await first.runState(), "incoming");
      await first.destination.abandon();
      assert.equal(await first.runState(), "gone");
      const second = await attach(directory, definition);
      assert.equal(await second.runState(), "incoming");
      await second.end();
    }),
);

for (
  const [name, argv, said] of [
    ["an unknown option", bareArgv(64, "-no-such-option"), /no-such-option: invalid option/],
    ["a missing program", ["/nonexistent/qemu"], /\/nonexistent\/qemu/],
    ["a missing image", bareArgv(64, "-hda", "/nonexistent/disk"), /No such file/],
  ] as const
) {
  Deno.test(
    `${name} is reported with what QEMU said`,
    NEEDS,
    () =>
      inDirectory(async (directory) => {
        const definition: QemuDefinition = {
          kind: "qemu",
          role: "source",
          launch: { argv: [...argv], disks: [] },
        };
        await assert.rejects(attach(directory, definition), {
          code: "guest_launch_failed",
          message: said,
        });
      }),
  );
}

Deno.test(
  "a disk that cannot be created stops the launch and is named",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      const path = `${directory}/missing/0.raw`;
      const definition: QemuDefinition = {
        kind: "qemu",
        role: "source",
        launch: { argv: bareArgv(64), disks: [{ id: "vd0", path, format: "raw", sizeMiB: 1 }] },
      };
      await assert.rejects(attach(directory, definition), (thrown: Error & { code: string }) => {
        assert.equal(thrown.code, "guest_launch_failed");
        return thrown.message.includes(path);
      });
    }),
);
