import assert from "node:assert/strict";
import { identityOf, isSelfContained } from "../../src/gateway/image_file.ts";
import { requires } from "../../src/testing/requirements.ts";
import {
  attach,
  bareArgv,
  diskArgv,
  inDirectory,
  moveOptions,
  startBare,
} from "./qemu_driver_support.ts";

const SIZE_BYTES = 16 * 1024 * 1024;
const KIB = 1024;

async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
}

/** Records of images are good for a move only because of this: what QEMU does to a file on its own. */
Deno.test(
  "QEMU leaves the file of an image alone when it opens, exports and closes it, and not when it writes",
  await requires("qemu", "qemuUtils"),
  () =>
    inDirectory(async (directory) => {
      const disks = [
        { id: "vd0", path: `${directory}/0.raw`, format: "raw" as const },
        { id: "vd1", path: `${directory}/1.qcow2`, format: "qcow2" as const },
      ];
      for (const { path, format } of disks) {
        await run("qemu-img", "create", "-q", "-f", format, path, String(SIZE_BYTES));
        await run("qemu-io", "-f", format, "-c", "write -P 7 64k 1M", path);
      }
      const identities = () => Promise.all(disks.map(({ path }) => identityOf(path)));
      const made = await identities();
      for (const [index, disk] of disks.entries()) {
        assert.ok(await isSelfContained({ ...disk, sizeBytes: SIZE_BYTES }, made[index]!));
      }
      const argv = bareArgv(
        64,
        ...disks.flatMap(({ id, path, format }) => diskArgv(id, path, format)),
        ...["-incoming", "defer", "-S"],
      );
      for (const writes of [false, true]) {
        await using machine = await startBare(directory, `in-${writes}`, argv);
        const guest = await attach(machine.qmpPath, "incoming");
        assert.deepEqual(await identities(), made, "opened");
        await guest.destination.prepare(moveOptions(`${directory}/in`));
        assert.deepEqual(await identities(), made, "exported");
        for (const { id } of disks) {
          const extents = await guest.destination.diskContent(id);
          const isData = extents.some(({ kind, offsetBytes, lengthBytes }) =>
            kind === "data" && offsetBytes === 64 * KIB && lengthBytes === 1024 * KIB
          );
          assert.ok(isData, JSON.stringify(extents));
          assert.equal(extents.at(-1)?.kind, "zero");
          const read = new Uint8Array(1024 * KIB);
          await guest.destination.readDisk(id, 64 * KIB, read);
          assert.ok(read.every((byte) => byte === 7));
          if (writes) await guest.destination.writeDisk(id, 0, new Uint8Array(512).fill(3));
        }
        await guest.destination.flushDisks();
        await guest.destination.abandon();
        await machine.exited;
        const closed = await identities();
        if (!writes) assert.deepEqual(closed, made, "closed");
        else closed.forEach((each, index) => assert.notDeepEqual(each, made[index]));
      }
    }),
);

Deno.test(
  "an image with a backing image is not one that is known by its own file",
  await requires("qemuUtils"),
  () =>
    inDirectory(async (directory) => {
      const base = `${directory}/base.qcow2`;
      const path = `${directory}/top.qcow2`;
      await run("qemu-img", "create", "-q", "-f", "qcow2", base, String(SIZE_BYTES));
      await run("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", path);
      const image = { format: "qcow2", sizeBytes: SIZE_BYTES };
      assert.ok(await isSelfContained({ ...image, path: base }, (await identityOf(base))!));
      assert.ok(!await isSelfContained({ ...image, path }, (await identityOf(path))!));
    }),
);
