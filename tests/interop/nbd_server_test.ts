import assert from "node:assert/strict";
import { MemoryBackend } from "../../src/nbd/memory_backend.ts";
import { type NbdBackend, NbdBackendError } from "../../src/nbd/backend.ts";
import { type NbdServer, serveNbd } from "../../src/nbd/server.ts";
import { patterned, withDirectory } from "../../src/nbd/test_support.ts";
import { requires } from "../../src/testing/requirements.ts";
import { tool } from "./nbd_support.ts";

const MIB = 1024 * 1024;
const SIZE = 24 * MIB;

const qemuUtils = await requires("qemuUtils");
const libnbd = await requires("libnbd");

/** Serves `d` for one test; `uri` is how the tools name it. */
function served(
  backend: NbdBackend,
  run: (context: { uri: string; directory: string; server: NbdServer }) => Promise<void>,
  sparseReads = false,
): () => Promise<void> {
  return () =>
    withDirectory(async (directory) => {
      const path = `${directory}/s`;
      const exports = { d: backend, other: new MemoryBackend(512) };
      const server = serveNbd({ address: { kind: "unix", path }, exports, sparseReads });
      try {
        await run({ uri: `nbd+unix:///d?socket=${path}`, directory, server });
      } finally {
        await server.close();
      }
    });
}

/** Random and text areas with holes between them. */
async function filled(): Promise<{ backend: MemoryBackend; bytes: Uint8Array }> {
  const backend = new MemoryBackend(SIZE);
  const bytes = new Uint8Array(SIZE);
  for (const [start, length] of [[0, 3 * MIB], [5 * MIB + 4096, 8192], [20 * MIB, 4 * MIB]]) {
    bytes.set(patterned(length, start), start);
    await backend.write(start, bytes.subarray(start, start + length));
  }
  return { backend, bytes };
}

const content = async (backend: NbdBackend) => {
  const bytes = new Uint8Array(backend.sizeBytes);
  await backend.read(0, bytes);
  return bytes;
};
const equal = (a: Uint8Array, b: Uint8Array) => assert.equal(Buffer.compare(a, b), 0);

const { backend: source, bytes: sourceBytes } = await filled();

Deno.test(
  "nbdinfo sees size, abilities, context and allocation",
  libnbd,
  served(source, async ({ uri }) => {
    const { exports: [info] } = JSON.parse(await tool("nbdinfo", "--json", uri));
    assert.equal(info["export-size"], SIZE);
    assert.deepEqual(info.contexts, ["base:allocation"]);
    assert(info.can_flush && info.can_zero && info.can_fua && info.can_multi_conn && info.can_df);
    assert.equal(info.block_size_maximum ?? 33_554_432, 33_554_432);
    const map = JSON.parse(await tool("nbdinfo", "--map", "--json", uri));
    const data = map.filter(({ type }: { type: number }) => type === 0)
      .map(({ offset, length }: { offset: number; length: number }) => [offset, length]);
    assert.deepEqual(data, [[0, 3 * MIB], [5 * MIB + 4096, 8192], [20 * MIB, 4 * MIB]]);
    const list = JSON.parse(await tool("nbdinfo", "--list", "--json", uri));
    const names = list.exports.map((entry: Record<string, string>) => entry["export-name"]);
    assert.deepEqual(names, ["d", "other"]);
  }),
);

for (const sparseReads of [false, true]) {
  const how = sparseReads ? "with hole chunks" : "in one chunk per read";
  Deno.test(
    `nbdcopy reads the export ${how}`,
    libnbd,
    served(source, async ({ uri, directory }) => {
      await tool("nbdcopy", uri, `${directory}/out`);
      equal(await Deno.readFile(`${directory}/out`), sourceBytes);
    }, sparseReads),
  );

  Deno.test(
    `qemu-img converts and compares the export ${how}`,
    qemuUtils,
    served(source, async ({ uri, directory }) => {
      await tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uri, `${directory}/q`);
      await tool("qemu-img", "compare", "-f", "qcow2", "-F", "raw", `${directory}/q`, uri);
    }, sparseReads),
  );
}

const copied = new MemoryBackend(SIZE);
Deno.test(
  "nbdcopy writes the export over several connections and flushes it",
  libnbd,
  served(copied, async ({ uri, directory }) => {
    await Deno.writeFile(`${directory}/in`, sourceBytes);
    await tool("nbdcopy", "--flush", "--connections=4", `${directory}/in`, uri);
    equal(await content(copied), sourceBytes);
  }),
);

const converted = new MemoryBackend(SIZE);
Deno.test(
  "qemu-img writes data and zeroes to an export that was full of rubbish",
  qemuUtils,
  served(converted, async ({ uri, directory }) => {
    await converted.write(0, new Uint8Array(SIZE).fill(0xaa));
    await Deno.writeFile(`${directory}/in`, sourceBytes);
    await tool("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", `${directory}/in`, uri);
    equal(await content(converted), sourceBytes);
  }),
);

const scratch = new MemoryBackend(SIZE);
Deno.test(
  "qemu-io writes, zeroes, flushes and verifies",
  qemuUtils,
  served(scratch, async ({ uri }) => {
    const commands = [
      "write -P 5 1M 2M",
      "write -z 2M 512K",
      "write -z -u 3M 64K",
      "write -f 4M 4K",
    ];
    const checks = ["flush", "read -P 5 1M 1M", "read -P 0 2M 512K", "read -P 0 3M 64K"];
    const all = [...commands, ...checks].flatMap((command) => ["-c", command]);
    const output = await tool("qemu-io", "-f", "raw", ...all, uri);
    assert.doesNotMatch(output, /failed|error/i);
    const bytes = await content(scratch);
    assert.deepEqual([MIB, 2 * MIB, 2.5 * MIB].map((at) => bytes[at]), [5, 0, 5]);
  }),
);

const broken: NbdBackend = {
  sizeBytes: SIZE,
  read: (offsetBytes, into) =>
    offsetBytes < MIB ? source.read(offsetBytes, into) : Promise.reject(new Error("bad sector")),
  write: () => Promise.reject(new NbdBackendError("ENOSPC", "full")),
  zero: () => Promise.reject(new NbdBackendError("ENOTSUP", "no zeroes here")),
  flush: () => Promise.resolve(),
};
Deno.test(
  "errors of the store reach qemu-io by name and the connection lives on",
  qemuUtils,
  served(broken, async ({ uri }) => {
    const commands = ["read 1M 4K", "write 0 4K", "read 0 4K"].flatMap((text) => ["-c", text]);
    const failed = await tool("qemu-io", "-f", "raw", ...commands, uri).catch((cause) => cause);
    assert(failed instanceof Error, "qemu-io reports failed commands by its exit status");
    assert.match(failed.message, /read failed: Input\/output error/);
    assert.match(failed.message, /write failed: No space left on device/);
    assert.match(failed.message, /read 4096\/4096 bytes at offset 0/);
  }),
);

Deno.test(
  "qemu-img reads the export over TCP",
  qemuUtils,
  () =>
    withDirectory(async (directory) => {
      const address = { kind: "tcp", hostname: "127.0.0.1", port: 0 } as const;
      const server = serveNbd({ address, exports: { d: source } });
      try {
        assert(server.address.kind === "tcp");
        const uri = `nbd://127.0.0.1:${server.address.port}/d`;
        await tool("qemu-img", "convert", "-f", "raw", "-O", "raw", uri, `${directory}/out`);
        equal(await Deno.readFile(`${directory}/out`), sourceBytes);
      } finally {
        await server.close();
      }
    }),
);
