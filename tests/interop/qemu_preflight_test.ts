import assert from "node:assert/strict";
import { createDisk } from "../../src/testing/qemu_process.ts";
import { requires } from "../../src/testing/requirements.ts";
import {
  attach,
  bareArgv,
  diskArgv,
  inDirectory,
  moveOptions,
  startBare,
} from "./qemu_driver_support.ts";

const NEEDS = await requires("qemu", "qemuUtils");
const INCOMING = ["-incoming", "defer", "-S"];

Deno.test(
  "what the move would break or leave behind is found before it begins",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      for (const name of ["s0", "d0"]) await createDisk(`${directory}/${name}`, "qcow2", 8);
      await createDisk(`${directory}/iso`, "raw", 1);
      await qemuImg("snapshot", "-c", "before-upgrade", `${directory}/s0`);
      const argv = (name: string, ...more: string[]) =>
        bareArgv(
          64,
          ...diskArgv("vd0", `${directory}/${name}`, "qcow2"),
          ...["-drive", `if=none,id=iso,media=cdrom,readonly=on,format=raw,file=${directory}/iso`],
          ...["-device", "ide-cd,drive=iso,id=cd0", ...more],
        );
      await using a = await startBare(directory, "s", argv("s0"));
      await using b = await startBare(directory, "d", argv("d0", ...INCOMING));
      await using source = await attach(a.qmpPath);
      await using target = await attach(b.qmpPath, "incoming");
      await a.look.execute("block-dirty-bitmap-add", { node: "vd0-format", name: "backup-monday" });
      const before = await a.look.execute("query-named-block-nodes", { flat: true });
      const findings = await source.source.preflight(await target.describe());
      assert.deepEqual(
        findings.map(({ severity, code }) => `${severity} ${code}`),
        ["warning read_only_media", "warning internal_snapshots", "warning foreign_bitmaps"],
      );
      assert.match(findings[0].message, /cd0/);
      assert.match(findings[1].message, /before-upgrade/);
      assert.match(findings[2].message, /backup-monday/);
      assert.deepEqual(await a.look.execute("query-named-block-nodes", { flat: true }), before);
      assert.deepEqual(await target.destination.preflight(await source.describe()), []);
    }),
);

Deno.test(
  "a balloon with hints is matched by its options, and a move that wants free pages is warned",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      const argv = (option: string, ...more: string[]) =>
        bareArgv(
          64,
          ...["-object", "iothread,id=io0"],
          ...["-device", `virtio-balloon-pci,id=balloon0,iothread=io0,${option}`, ...more],
        );
      await using a = await startBare(directory, "s", argv("free-page-hint=on"));
      await using b = await startBare(directory, "d", argv("free-page-hint=on", ...INCOMING));
      await using c = await startBare(directory, "e", argv("free-page-hint=off", ...INCOMING));
      await using source = await attach(a.qmpPath);
      await using equal = await attach(b.qmpPath, "incoming");
      await using other = await attach(c.qmpPath, "incoming");
      const same = await equal.describe();
      assert.deepEqual(await source.source.preflight(same), []);
      const [warned, ...more] = await source.source.preflight(same, { sendFree: true });
      assert.deepEqual(more, []);
      assert.equal(`${warned.severity} ${warned.code}`, "warning free_pages_left_out");
      assert.match(warned.message, /balloon0/);
      const [refused] = await source.source.preflight(await other.describe());
      assert.equal(`${refused.severity} ${refused.code}`, "refusal device_ids_differ");
      assert.match(refused.message, /free-page-hint/);
    }),
);

Deno.test(
  "a processor of another name, or that lacks a feature, refuses the move",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      const argv = (cpu: string, ...more: string[]) => bareArgv(64, "-cpu", cpu, ...more);
      await using a = await startBare(directory, "s", argv("qemu64,+popcnt"));
      await using source = await attach(a.qmpPath);
      const own = (await source.describe()).cpuModel;
      assert.match(own!, /^qemu64 .*1:ecx=/);
      for (
        const [cpu, expected] of [
          ["qemu64,+popcnt", []],
          ["qemu64", ["refusal cpu_model_differs"]],
          ["qemu64,+popcnt,+rdrand", ["warning cpu_model_differs"]],
          ["Nehalem", ["refusal device_ids_differ", "refusal cpu_model_differs"]],
        ] as const
      ) {
        await using b = await startBare(directory, "d", argv(cpu, ...INCOMING));
        await using target = await attach(b.qmpPath, "incoming");
        const findings = await source.source.preflight(await target.describe());
        assert.deepEqual(
          findings.map(({ severity, code }) => `${severity} ${code}`),
          expected,
          cpu,
        );
      }
    }),
);

Deno.test(
  "a machine that this host cannot hold is refused, preallocated memory is taken already",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      const memory = ["-object", "memory-backend-ram,id=m,size=64M,prealloc=on"];
      const argv = [...bareArgv(64, ...memory), "-machine", "memory-backend=m", ...INCOMING];
      await using waiting = await startBare(directory, "d", argv);
      await using target = await attach(waiting.qmpPath, "incoming");
      const own = { ...await target.describe(), runState: "running" as const };
      assert.deepEqual(await target.destination.preflight(own), []);
      const huge = { ...own, memoryBytes: 2 ** 50 };
      const [finding] = await target.destination.preflight(huge);
      assert.equal(`${finding.severity} ${finding.code}`, "refusal memory_too_little");
      assert.match(finding.message, new RegExp(`takes ${2 ** 50 - 64 * 2 ** 20} bytes`));
    }),
);

Deno.test(
  "flash of the board is named as what cannot be held back, where a move may want to",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      await createDisk(`${directory}/flash`, "raw", 1);
      await createDisk(`${directory}/0`, "raw", 8);
      const flash = `driver=raw,node-name=flash,file.driver=file,file.filename=${directory}/flash`;
      const argv = bareArgv(64, ...diskArgv("vd0", `${directory}/0`, "raw"), "-blockdev", flash);
      const machine = argv.map((arg) => arg === "pc,accel=tcg" ? `${arg},pflash0=flash` : arg);
      await using running = await startBare(directory, "s", machine);
      await using guest = await attach(running.qmpPath);
      const counterpart = { ...await guest.describe(), runState: "incoming" as const };
      assert.deepEqual(await guest.source.preflight(counterpart), []);
      const [finding, ...more] = await guest.source.preflight(counterpart, {
        mayThrottleDisks: true,
      });
      assert.deepEqual(more, []);
      assert.equal(`${finding.severity} ${finding.code}`, "warning throttle_not_possible");
      assert.match(finding.message, /system\.flash0/);
      const options = moveOptions(`${directory}/x`);
      await guest.source.begin(options);
      await guest.source.throttleDisks(1_000_000);
      await guest.source.restore(options.notes, options);
    }),
);

Deno.test(
  "an NBD server of somebody else is left alone",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      await createDisk(`${directory}/0`, "raw", 8);
      const argv = bareArgv(64, ...diskArgv("vd0", `${directory}/0`, "raw"));
      await using machine = await startBare(directory, "s", argv);
      await using guest = await attach(machine.qmpPath);
      const addr = { type: "unix", data: { path: `${directory}/theirs` } };
      await machine.look.execute("nbd-server-start", { addr });
      await machine.look.execute("block-export-add", {
        ...{ type: "nbd", id: "backup", "node-name": "vd0-format" },
      });
      const findings = await guest.source.preflight(await guest.describe());
      assert.ok(findings.some(({ code }) => code === "nbd_server_in_use"));
      const options = { scratchDirectory: `${directory}/x`, remember: () => Promise.resolve() };
      await assert.rejects(guest.source.begin(options), { code: "nbd_server_in_use" });
      await guest.source.restore({}, options);
      const exports = await machine.look.execute("query-block-exports") as { id: string }[];
      assert.deepEqual(exports.map(({ id }) => id), ["backup"]);
    }),
);

Deno.test(
  "an image that another process holds refuses the arrival and names itself",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      await createDisk(`${directory}/0`, "raw", 8);
      const argv = bareArgv(64, ...diskArgv("vd0", `${directory}/0`, "raw"));
      await using waiting = await startBare(directory, "d", [...argv, ...INCOMING]);
      await using target = await attach(waiting.qmpPath, "incoming");
      const source = { ...await target.describe(), runState: "running" as const };
      assert.deepEqual(await target.destination.preflight(source), []);
      await using _other = await startBare(directory, "o", argv);
      const [finding] = await target.destination.preflight(source);
      assert.equal(finding.code, "image_in_use");
      assert.ok(finding.message.includes(`${directory}/0`));
    }),
);

Deno.test(
  "a machine that QEMU cannot migrate is refused with QEMU's own reason",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      await createDisk(`${directory}/0`, "raw", 8);
      // A live job on an image without a name of its own blocks migration for good.
      const argv = bareArgv(
        64,
        ...["-drive", `if=none,id=v,format=vpc,file=${directory}/0.vpc`],
        ...["-device", "virtio-blk-pci,drive=v,id=vd0"],
      );
      await qemuImg("create", "-q", "-f", "vpc", `${directory}/0.vpc`, "8M");
      await using machine = await startBare(directory, "s", argv);
      await using guest = await attach(machine.qmpPath);
      const counterpart = { ...await guest.describe(), runState: "incoming" as const };
      const [finding] = await guest.source.preflight(counterpart);
      assert.equal(finding.code, "migration_blocked");
      assert.match(finding.message, /vpc/);
    }),
);

Deno.test(
  "images that do not fit their storage are refused before the first byte, thin ones warned of",
  NEEDS,
  () =>
    inDirectory(async (directory) => {
      await qemuImg("create", "-q", "-f", "qcow2", `${directory}/0`, "1000T");
      const argv = bareArgv(64, ...diskArgv("vd0", `${directory}/0`, "qcow2"), ...INCOMING);
      await using waiting = await startBare(directory, "d", argv);
      await using target = await attach(waiting.qmpPath, "incoming");
      const own = await target.describe();
      assert.equal(own.disks[0].allocatedBytes! < 1024 * 1024 * 1024, true);
      const source = { ...own, runState: "running" as const };
      const [thin] = await target.destination.preflight(source);
      assert.equal(`${thin.severity} ${thin.code}`, "warning space_too_little");
      const disks = own.disks.map((disk) => ({ ...disk, allocatedBytes: disk.sizeBytes }));
      const [finding] = await target.destination.preflight({ ...source, disks });
      assert.equal(`${finding.severity} ${finding.code}`, "refusal space_too_little");
      assert.match(finding.message, /vd0 need \d+ bytes more than they have here, \d+ are free/);
    }),
);

async function qemuImg(...args: string[]): Promise<void> {
  const { success } = await new Deno.Command("qemu-img", { args, stdout: "null" }).output();
  assert.ok(success, `qemu-img ${args.join(" ")}`);
}
