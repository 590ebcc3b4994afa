/**
 * Captures the golden memory streams: `deno run -A tests/golden/capture_qemu_stream.ts`
 *
 * Takes the `qemu-system-x86_64` on PATH and writes tests/golden/qemu-stream-v<major.minor>/. Each
 * stream is a real migration between two machines of 4 MiB whose firmware rewrites 1 MiB; what the
 * reader rebuilds is compared with the stopped source's own memory before anything is written.
 * Device state holds times, so two captures never have equal bytes.
 */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { constants, zstdCompressSync } from "node:zlib";
import { createStreamReader } from "../../src/qemu/stream/reader.ts";
import type { QmpClient } from "../../src/qemu/qmp/client.ts";
import {
  relay,
  setCapabilities,
  startFirmwareMachine,
  until,
  untilMigrated,
} from "../interop/qemu_stream_support.ts";
import {
  RebuiltMemory,
  sha256,
  summarizeReturnPath,
  summarizeStream,
} from "./qemu_stream_summary.ts";

/** Not a multiple of 256 KiB: with such a size QEMU 7.2 under TCG misses no write. */
const MEMORY_KIB = 4096 + 8;
const FIRMWARE = { firstByte: 2 * 1024 * 1024, pageCount: 256 } as const;
/** The golden folder holds small files only. */
const MAX_FILE_BYTES = 100 * 1024;
const SLOW_BYTES_PER_SECOND = 1024 * 1024;

interface Case {
  readonly name: string;
  readonly what: string;
  readonly capabilities: readonly string[];
  /** Switches to post-copy once two passes are over. */
  readonly postcopy?: boolean;
}

const CASES: readonly Case[] = [
  { name: "precopy", what: "pre-copy with return path", capabilities: ["return-path"] },
  {
    name: "xbzrle",
    what: "pre-copy with deltas, which the reader does not interpret",
    capabilities: ["return-path", "xbzrle"],
  },
  {
    name: "postcopy",
    what: "a switch to post-copy, from which on nothing is interpreted",
    capabilities: ["postcopy-ram"],
    postcopy: true,
  },
];

for (const captureCase of CASES) await capture(captureCase);

async function capture({ name, what, capabilities, postcopy }: Case): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "cw-golden-" });
  try {
    const version = await qemuVersion();
    const machineType = `pc-i440fx-${version.split(".").slice(0, 2).join(".")}`;
    const options = { directory, machineType, memoryKiB: MEMORY_KIB, firmware: FIRMWARE };
    await using source = await startFirmwareMachine({ ...options, name: "source" });
    await using destination = await startFirmwareMachine({
      ...options,
      name: "destination",
      incoming: true,
    });
    await setCapabilities(source.qmp, ...capabilities);
    if (postcopy) await setCapabilities(destination.qmp, "postcopy-ram");
    // Too slow and too strict to converge, until it is let go.
    await source.qmp.execute("migrate-set-parameters", {
      "max-bandwidth": SLOW_BYTES_PER_SECOND,
      "downtime-limit": 1,
    });
    await until(20_000, async () => (await source.passes()).length > 5);

    await destination.qmp.execute("migrate-incoming", { uri: `unix:${directory}/in` });
    const incoming = await Deno.connect({ transport: "unix", path: `${directory}/in` });
    using listener = Deno.listen({ transport: "unix", path: `${directory}/out` });
    await source.qmp.execute("migrate", { uri: `unix:${directory}/out` });
    const outgoing = await listener.accept();
    const forward: Uint8Array[] = [];
    const backward: Uint8Array[] = [];
    const relayed = relay(outgoing, incoming, {
      forward: (chunk) => (forward.push(chunk.slice()), [chunk]),
      backward: (chunk) => (backward.push(chunk.slice()), [chunk]),
    });
    await until(20_000, async () => await passCount(source.qmp) > 2);
    if (postcopy) await source.qmp.execute("migrate-start-postcopy");
    await source.qmp.execute("migrate-set-parameters", {
      "max-bandwidth": 2 ** 30,
      "downtime-limit": 2000,
    });
    await relayed;
    assert.equal(await untilMigrated(source.qmp), "completed");
    assert.equal(await untilMigrated(destination.qmp), "completed");

    const stream = concat(forward);
    if (name === "precopy") await compareWithMachine(source.qmp, stream, directory);
    await destination.qmp.execute("cont");
    await until(20_000, async () => (await destination.passes()).length > 3);
    assert.match(await destination.passes(), /^\.+$/);

    const returnPath = concat(backward);
    const compressed = compress(stream);
    assert(compressed.length <= MAX_FILE_BYTES, `${name}: ${compressed.length} bytes`);
    const folder = new URL(
      `qemu-stream-v${version.split(".").slice(0, 2).join(".")}/`,
      import.meta.url,
    );
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeFile(new URL(`${name}.zst`, folder), compressed);
    await Deno.writeFile(new URL(`${name}.return-path.zst`, folder), compress(returnPath));
    const record = {
      what,
      qemu: version,
      machineType,
      capabilities,
      streamBytes: stream.length,
      streamSha256: sha256(stream),
      returnPath: summarizeReturnPath(returnPath),
      decoded: summarizeStream(stream),
    };
    await Deno.writeTextFile(
      new URL(`${name}.json`, folder),
      JSON.stringify(record, null, 2) + "\n",
    );
    console.log(`${version} ${name}: ${stream.length} bytes, ${compressed.length} compressed`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** The stopped source is the judge of what its stream meant. */
async function compareWithMachine(
  qmp: QmpClient,
  stream: Uint8Array,
  directory: string,
): Promise<void> {
  const filename = `${directory}/memory`;
  await qmp.execute("pmemsave", { val: 0, size: MEMORY_KIB * 1024, filename });
  const machine = await Deno.readFile(filename);
  const rebuilt = new RebuiltMemory();
  for (const item of createStreamReader().push(stream)) rebuilt.apply(item);
  const ram = rebuilt.blocks[rebuilt.layout.findIndex(({ name }) => name === "pc.ram")];
  // Between 640 KiB and 1 MiB the machine's bus shows devices and firmware instead of this block.
  for (const [from, to] of [[0, 0xa0000], [0x100000, MEMORY_KIB * 1024]]) {
    assert.equal(Buffer.compare(ram.subarray(from, to), machine.subarray(from, to)), 0);
  }
}

async function passCount(qmp: QmpClient): Promise<number> {
  const answer = await qmp.execute("query-migrate") as {
    status?: string;
    ram?: Record<string, number>;
  };
  assert.notEqual(answer.status, "failed");
  return answer.ram?.["dirty-sync-count"] ?? 0;
}

async function qemuVersion(): Promise<string> {
  const { stdout } = await new Deno.Command("qemu-system-x86_64", { args: ["--version"] }).output();
  return /version (\d+\.\d+\.\d+)/.exec(new TextDecoder().decode(stdout))![1];
}

function compress(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: 19, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
