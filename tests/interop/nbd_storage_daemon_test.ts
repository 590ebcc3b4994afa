import assert from "node:assert/strict";
import { createInterface } from "node:readline/promises";
import { Readable } from "node:stream";
import { connectNbd } from "../../src/nbd/client.ts";
import { MemoryBackend } from "../../src/nbd/memory_backend.ts";
import { serveNbd } from "../../src/nbd/server.ts";
import { patterned, withDirectory } from "../../src/nbd/test_support.ts";
import { requires } from "../../src/testing/requirements.ts";

const MIB = 1024 * 1024;
const qemuUtils = await requires("qemuUtils");

/** QEMU's block layer without a machine: the same exports, bitmaps and jobs, a monitor on stdio. */
async function withStorageDaemon(
  run: (context: {
    directory: string;
    execute(command: string, args?: Record<string, unknown>): Promise<unknown>;
    event(name: string): Promise<Record<string, unknown>>;
  }) => Promise<void>,
): Promise<void> {
  await withDirectory(async (directory) => {
    await Deno.writeFile(`${directory}/d0`, new Uint8Array(8 * MIB));
    const node = `driver=file,node-name=d0,filename=${directory}/d0`;
    const child = new Deno.Command("qemu-storage-daemon", {
      args: ["--chardev", "stdio,id=c", "--monitor", "chardev=c", "--blockdev", node],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    const lines = createInterface({ input: Readable.fromWeb(child.stdout as never) });
    const messages = lines[Symbol.asyncIterator]();
    const writer = child.stdin.getWriter();
    const events: { event: string; data: Record<string, unknown> }[] = [];
    const next = async () => {
      const { value, done } = await messages.next();
      assert(!done, "the storage daemon ended");
      return JSON.parse(value);
    };
    const execute = async (command: string, args: Record<string, unknown> = {}) => {
      const line = JSON.stringify({ execute: command, arguments: args });
      await writer.write(new TextEncoder().encode(`${line}\n`));
      for (;;) {
        const message = await next();
        if ("event" in message) events.push(message);
        else if ("error" in message) throw new Error(`${command}: ${message.error.desc}`);
        else return message.return;
      }
    };
    const event = async (name: string) => {
      for (;;) {
        const index = events.findIndex((candidate) => candidate.event === name);
        if (index >= 0) return events.splice(index, 1)[0].data;
        events.push(await next());
      }
    };
    try {
      await next();
      await execute("qmp_capabilities");
      await run({ directory, execute, event });
    } finally {
      await writer.close();
      child.kill("SIGTERM");
      lines.close();
      await child.status;
    }
  });
}

Deno.test(
  "rounds of live bitmaps catch every write, and a deleted export is a lost connection",
  qemuUtils,
  () =>
    withStorageDaemon(async ({ directory, execute, event }) => {
      const address = { kind: "unix", path: `${directory}/n` } as const;
      const unix = { type: "unix", data: { path: address.path } };
      await execute("nbd-server-start", { addr: unix });
      const add = (id: string, writable: boolean, bitmaps: string[] = []) =>
        execute("block-export-add", {
          id,
          type: "nbd",
          "node-name": "d0",
          name: id,
          writable,
          bitmaps,
        });
      await add("guest", true);
      await using guest = await connectNbd({ address, exportName: "guest" });
      const bitmap = (name: string) => ({ node: "d0", name });
      await execute("block-dirty-bitmap-add", { ...bitmap("r0"), granularity: 65536 });

      const copy = new Uint8Array(8 * MIB);
      for (let round = 0; round < 4; round++) {
        for (let write = 0; write < 5; write++) {
          const bytes = patterned(5000, round * 5 + write);
          await guest.write((round * 977 + write * 1511) % 2000 * 4096, bytes);
        }
        await execute("transaction", {
          actions: [
            {
              type: "block-dirty-bitmap-add",
              data: { ...bitmap(`r${round + 1}`), granularity: 65536 },
            },
            { type: "block-dirty-bitmap-disable", data: bitmap(`r${round}`) },
          ],
        });
        await add(`x${round}`, false, [`r${round}`]);
        const context = `qemu:dirty-bitmap:r${round}`;
        const metaContexts = ["base:allocation", context];
        const reader = await connectNbd({ address, exportName: `x${round}`, metaContexts });
        const dirty = await reader.dirtyExtents(context);
        assert(dirty.length > 0 && dirty.length <= 10);
        for (const { offsetBytes, lengthBytes, kind } of dirty) {
          const part = copy.subarray(offsetBytes, offsetBytes + lengthBytes);
          if (kind === "zero") part.fill(0);
          else await reader.read(offsetBytes, lengthBytes, part);
        }
        await execute("block-export-del", { id: `x${round}`, mode: "hard" });
        await event("BLOCK_EXPORT_DELETED");
        await assert.rejects(reader.read(0, 512), { code: "nbd_disconnected" });
        await reader.close();
        await execute("block-dirty-bitmap-remove", bitmap(`r${round}`));
      }
      assert.equal(Buffer.compare(await guest.read(0, copy.length), copy), 0);
    }),
);

Deno.test(
  "QEMU's mirror job copies a disk into the server and keeps it in step",
  qemuUtils,
  () =>
    withStorageDaemon(async ({ directory, execute, event }) => {
      const target = new MemoryBackend(8 * MIB);
      await target.write(0, new Uint8Array(8 * MIB).fill(0xaa));
      const path = `${directory}/t`;
      const server = serveNbd({ address: { kind: "unix", path }, exports: { disk0: target } });
      const address = { kind: "unix", path: `${directory}/n` } as const;
      await execute("nbd-server-start", { addr: { type: "unix", data: { path: address.path } } });
      const guestExport = { id: "g", type: "nbd", "node-name": "d0", name: "d", writable: true };
      await execute("block-export-add", guestExport);
      const guest = await connectNbd({ address, exportName: "d" });
      try {
        await guest.write(MIB, patterned(3 * MIB, 1));
        await execute("blockdev-add", {
          driver: "nbd",
          "node-name": "tgt",
          export: "disk0",
          server: { type: "unix", path },
        });
        const job = { "job-id": "m0", device: "d0", target: "tgt", sync: "full" };
        await execute("blockdev-mirror", { ...job, "copy-mode": "write-blocking" });
        await event("BLOCK_JOB_READY");
        await guest.write(6 * MIB + 512, patterned(100_000, 2));
        await guest.writeZeroes(2 * MIB, 65536);
        await execute("block-job-cancel", { device: "m0" });
        await event("BLOCK_JOB_COMPLETED");
        const mirrored = new Uint8Array(8 * MIB);
        await target.read(0, mirrored);
        assert.equal(Buffer.compare(await guest.read(0, 8 * MIB), mirrored), 0);
        await execute("blockdev-del", { "node-name": "tgt" });
      } finally {
        await guest.close();
        await server.close();
      }
    }),
);
