import assert from "node:assert/strict";
import { type Extent, mergeExtents } from "../../src/core/extents.ts";
import { connectNbd, type NbdClient } from "../../src/nbd/client.ts";
import { patterned, withDirectory } from "../../src/nbd/test_support.ts";
import { requires } from "../../src/testing/requirements.ts";
import { nbdkit, qemuNbd, type RunningServer, tool } from "./nbd_support.ts";

const MIB = 1024 * 1024;
const ALLOCATION = "base:allocation";
const BITMAP = "qemu:dirty-bitmap:b0";

const qemuUtils = await requires("qemuUtils");
const nbdkitNeeded = await requires("nbdkit");

const inDirectory = (run: (directory: string) => Promise<void>) => () => withDirectory(run);

function open(server: RunningServer, ...metaContexts: string[]): Promise<NbdClient> {
  return connectNbd({ address: server.address, exportName: "d", metaContexts });
}

/** Random writes, zeroes and reads, in flight together where they do not touch. */
async function exercise(client: NbdClient, seed: number): Promise<Uint8Array> {
  const slots = 16;
  const steps = 12;
  const model = await client.read(0, client.sizeBytes);
  const slotBytes = Math.floor(client.sizeBytes / slots);
  const blockBytes = Math.max(512, client.minBlockBytes);
  const slotBlocks = Math.floor(slotBytes / blockBytes);
  const choices = patterned(slots * steps * 4, seed);
  await Promise.all(Array.from({ length: slots }, async (_, slot) => {
    for (let step = 0; step < steps; step++) {
      const [kind, where, size, salt] = choices.subarray((slot * steps + step) * 4);
      const first = Math.floor(where / 256 * slotBlocks);
      const count = Math.max(1, Math.floor(size / 256 * (slotBlocks - first)));
      const start = slot * slotBytes + first * blockBytes;
      const lengthBytes = count * blockBytes;
      if (kind < 100) {
        const bytes = patterned(lengthBytes, salt);
        model.set(bytes, start);
        await client.write(start, bytes);
      } else if (kind < 150) {
        model.fill(0, start, start + lengthBytes);
        await client.writeZeroes(start, lengthBytes, { noHole: kind < 125 });
      } else {
        const got = await client.read(start, lengthBytes);
        assert.equal(Buffer.compare(got, model.subarray(start, start + lengthBytes)), 0);
      }
    }
  }));
  await client.flush();
  assert.equal(Buffer.compare(await client.read(0, client.sizeBytes), model), 0);
  return model;
}

async function writeBy(image: string, format: string, ...commands: string[]): Promise<void> {
  await tool("qemu-io", "-f", format, ...commands.flatMap((text) => ["-c", text]), image);
}

for (const format of ["raw", "qcow2"]) {
  Deno.test(
    `what the client writes through qemu-nbd is in the ${format} image`,
    qemuUtils,
    inDirectory(async (directory) => {
      const image = `${directory}/d`;
      await tool("qemu-img", "create", "-q", "-f", format, image, "16M");
      let model: Uint8Array;
      {
        await using server = await qemuNbd(directory, "-f", format, image);
        await using client = await open(server, ALLOCATION);
        model = await exercise(client, 11);
      }
      await tool("qemu-img", "convert", "-U", "-f", format, "-O", "raw", image, `${image}.out`);
      assert.equal(Buffer.compare(await Deno.readFile(`${image}.out`), model), 0);
    }),
  );
}

interface MapEntry {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
}

Deno.test(
  "allocated extents are those that qemu-img maps, far beyond 32 bits",
  qemuUtils,
  inDirectory(async (directory) => {
    const image = `${directory}/d`;
    await tool("qemu-img", "create", "-q", "-f", "qcow2", image, "9G");
    const writes = ["write -P 7 1M 128K", "write 6G 1M", "write -z 7G 1M", "write 9215M 1M"];
    await writeBy(image, "qcow2", ...writes);
    const map = await tool("qemu-img", "map", "--output=json", "-f", "qcow2", image);
    const expected = mergeExtents((JSON.parse(map) as MapEntry[]).map((entry): Extent => ({
      offsetBytes: entry.start,
      lengthBytes: entry.length,
      kind: entry.zero ? "zero" : "data",
    })));
    await using server = await qemuNbd(directory, "-r", "-f", "qcow2", image);
    await using client = await open(server, ALLOCATION);
    assert.deepEqual(await client.allocatedExtents(), expected);
    assert.equal(expected.filter(({ kind }) => kind === "data").length, 3);
    // One read over data and holes comes as several chunks; the buffer must lose its old content.
    const read = await client.read(0, 2 * MIB, new Uint8Array(2 * MIB).fill(0xee));
    const model = new Uint8Array(2 * MIB).fill(7, MIB, MIB + 128 * 1024);
    assert.equal(Buffer.compare(read, model), 0);
  }),
);

Deno.test(
  "dirty extents are what was written since the bitmap was added",
  qemuUtils,
  inDirectory(async (directory) => {
    const image = `${directory}/d`;
    await tool("qemu-img", "create", "-q", "-f", "qcow2", image, "5G");
    await writeBy(image, "qcow2", "write -P 1 0 4M");
    await tool("qemu-img", "bitmap", "--add", "-g", "64K", image, "b0");
    const writes = ["write 1M 64K", "write -P 3 3000K 1K", "write -z 2M 64K", "write 4500M 1M"];
    await writeBy(image, "qcow2", ...writes);
    await using server = await qemuNbd(directory, "-r", "-f", "qcow2", "-B", "b0", image);

    const ranges = [[MIB, 65536], [2 * MIB, 65536], [46 * 65536, 65536], [4500 * MIB, MIB]];
    const kinds = ["data", "zero", "data", "data"];
    await using both = await open(server, ALLOCATION, BITMAP, "qemu:dirty-bitmap:nope");
    assert.deepEqual([...both.contexts].sort(), [ALLOCATION, BITMAP]);
    assert.deepEqual(
      await both.dirtyExtents(BITMAP),
      ranges.map(([offsetBytes, lengthBytes], index) => {
        return { offsetBytes, lengthBytes, kind: kinds[index] };
      }),
    );
    const statuses = await both.blockStatus(BITMAP, MIB + 4096, 2 * MIB);
    assert.deepEqual(statuses.slice(0, 2), [
      { offsetBytes: MIB + 4096, lengthBytes: 61440, flags: 1 },
      { offsetBytes: MIB + 65536, lengthBytes: MIB - 65536, flags: 0 },
    ]);

    await using bitmapOnly = await open(server, BITMAP);
    assert.deepEqual(
      await bitmapOnly.dirtyExtents(BITMAP),
      ranges.map(([offsetBytes, lengthBytes]) => ({ offsetBytes, lengthBytes, kind: "data" })),
    );
  }),
);

Deno.test(
  "what qemu-nbd refuses is refused by name",
  qemuUtils,
  inDirectory(async (directory) => {
    const image = `${directory}/d`;
    await tool("qemu-img", "create", "-q", "-f", "raw", image, "1M");
    await using server = await qemuNbd(directory, "-r", "-f", "raw", image);
    await assert.rejects(connectNbd({ address: server.address, exportName: "other" }), {
      code: "nbd_refused",
      message: /"other": the server has no such export/,
    });
    await using client = await open(server);
    await assert.rejects(client.write(0, new Uint8Array(512)), { code: "nbd_refused" });
    await assert.rejects(client.blockStatus(ALLOCATION, 0, 512), { code: "nbd_refused" });
  }),
);

for (const [errno, code] of [[28, "disk_full"], [5, "nbd_io_error"]] as const) {
  Deno.test(
    `a disk that fails once with errno ${errno} is ${code}, and works again`,
    qemuUtils,
    inDirectory(async (directory) => {
      const image = `${directory}/d`;
      await tool("qemu-img", "create", "-q", "-f", "raw", image, "1M");
      const failure = ["event=none", "iotype=write", "once=on", `errno=${errno}`];
      const options = [
        ...["driver=raw", "file.driver=blkdebug", "file.image.driver=file"],
        `file.image.filename=${image}`,
        ...failure.map((option) => `file.inject-error.0.${option}`),
      ];
      await using server = await qemuNbd(directory, "--image-opts", options.join(","));
      await using client = await open(server);
      await assert.rejects(client.write(4096, new Uint8Array(512)), { code, message: /at 4096/ });
      await client.write(4096, new Uint8Array(512).fill(1));
      assert.equal((await client.read(4096, 1))[0], 1);
    }),
  );
}

Deno.test(
  "a killed server rejects what is open with nbd_disconnected",
  qemuUtils,
  inDirectory(async (directory) => {
    const slow = "driver=null-co,size=1M,latency-ns=600000000000";
    await using server = await qemuNbd(directory, "--image-opts", slow);
    const client = await open(server);
    const reads = Array.from({ length: 20 }, () => client.read(0, 512));
    const settled = Promise.allSettled(reads);
    server.kill();
    for (const result of await settled) {
      assert(result.status === "rejected");
      assert.equal(result.reason.code, "nbd_disconnected");
    }
    await client.close();
  }),
);

const NBDKIT_VARIANTS: [name: string, options: string[], parameters: string[]][] = [
  ["with structured replies", [], []],
  ["without structured replies", ["--no-sr"], []],
  ["without native zeroes", ["--filter=nozero"], []],
  ["with blocks of 4 KiB and payloads of 64 KiB", ["--filter=blocksize-policy"], [
    "blocksize-minimum=4096",
    "blocksize-preferred=65536",
    "blocksize-maximum=65536",
    "blocksize-error-policy=error",
  ]],
];

for (const [name, options, parameters] of NBDKIT_VARIANTS) {
  Deno.test(
    `the client keeps its promises at nbdkit ${name}`,
    nbdkitNeeded,
    inDirectory(async (directory) => {
      await using server = await nbdkit(directory, ...options, "memory", "8M", ...parameters);
      await using client = await open(server, ALLOCATION);
      if (parameters.length > 0) assert.equal(client.maxPayloadBytes, 65536);
      assert.equal(client.contexts.includes(ALLOCATION), !options.includes("--no-sr"));
      const model = await exercise(client, 5);
      for (const { kind, offsetBytes, lengthBytes } of await client.allocatedExtents()) {
        const part = model.subarray(offsetBytes, offsetBytes + lengthBytes);
        if (kind === "zero") assert(part.every((byte) => byte === 0));
      }
    }),
  );
}
