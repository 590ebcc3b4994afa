import { systemClock } from "../../src/host/system_clock.ts";
import { connectQmp } from "../../src/qemu/qmp/client.ts";
import { startQemu } from "../../src/testing/qemu_process.ts";

const MEMORY_MIB = 256;
/** Rewritten files in memory, half text and half random. */
const FILES_MIB = 64;
const READ_BYTES = 512 * 1024;

/** The first pass over the memory of a Linux guest that stands still, in the pieces of the socket. */
export async function guestStream(): Promise<Uint8Array[]> {
  const directory = await Deno.makeTempDir({ prefix: "cw-b-" });
  try {
    await using guest = await startQemu({
      directory,
      memoryMiB: MEMORY_MIB,
      workload: { memoryMiB: FILES_MIB, diskKiBPerSecond: 0 },
    });
    await guest.waitReady(120_000);
    const qmp = await connectQmp(guest.qmpPath, { clock: systemClock() });
    try {
      await qmp.execute("stop");
      await qmp.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 34 });
      using listener = Deno.listen({ transport: "unix", path: `${directory}/out` });
      await qmp.execute("migrate", { uri: `unix:${directory}/out` });
      using connection = await listener.accept();
      return await readAll(connection);
    } finally {
      qmp.close();
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function readAll(connection: Deno.Conn): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  const buffer = new Uint8Array(READ_BYTES);
  for (;;) {
    const length = await connection.read(buffer);
    if (length === null) return chunks;
    chunks.push(buffer.slice(0, length));
  }
}
