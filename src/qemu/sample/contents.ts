import { commandBytes, commandOutput } from "../../host/command_output.ts";
import type { Machine } from "../machine.ts";
import { QmpCommandError } from "../qmp/client.ts";
import { ramRanges, spreadChunks } from "./memory_map.ts";

/** One `pmemsave` each: QEMU holds its main loop for the copying of so much. */
const CHUNK_BYTES = 64 * 1024;
/** 16 MiB of the machine, in 0.3 to 1 s. */
const CHUNKS_MAX = 256;
/** A command waits longer for its turn than it takes. */
const AT_ONCE = 4;
/** 2 MiB lie in files at most, and are read by one child process. */
const READ_AT_ONCE = 32;

/** Reads a sample of the machine's memory, the same places each time. */
export class MemoryContents {
  private constructor(
    private readonly machine: Machine,
    private readonly path: string,
    private readonly addresses: readonly number[],
  ) {}

  /**
   * @param directory where QEMU writes a file and the gateway reads it
   * @returns null where that cannot work: a machine on another host, or none of its memory found
   */
  static async open(machine: Machine, directory: string): Promise<MemoryContents | null> {
    if (machine.address.kind !== "unix") return null;
    const line = "info mtree -f";
    const tree = await unlessRefused(
      machine.execute("human-monitor-command", { "command-line": line }),
    );
    const random = () => crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32;
    const chunks = spreadChunks(ramRanges(String(tree)), CHUNK_BYTES, CHUNKS_MAX, random);
    if (chunks.length === 0) return null;
    const path = `${directory}/sample-${crypto.randomUUID()}`;
    return new MemoryContents(machine, path, chunks);
  }

  /** The chunks in order; null where QEMU cannot write a file, or the gateway not read it. */
  async read(signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>[] | null> {
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    for (let first = 0; first < this.addresses.length; first += READ_AT_ONCE) {
      const read = await this.#read(this.addresses.slice(first, first + READ_AT_ONCE), signal);
      if (read === null) return null;
      for (let at = 0; at < read.length; at += CHUNK_BYTES) {
        chunks.push(read.slice(at, at + CHUNK_BYTES));
      }
    }
    return chunks;
  }

  async #read(addresses: readonly number[], signal?: AbortSignal) {
    const paths = addresses.map((_, at) => `${this.path}-${at}`);
    try {
      for (let first = 0; first < addresses.length; first += AT_ONCE) {
        signal?.throwIfAborted();
        const saved = await Promise.all(
          addresses.slice(first, first + AT_ONCE).map((val, at) => {
            const args = { val, size: CHUNK_BYTES, filename: paths[first + at] };
            return unlessRefused(this.machine.execute("pmemsave", args));
          }),
        );
        if (saved.includes(null)) return null;
      }
      // By a child: a file system in memory lies below /dev, where the runtime reads nothing for
      // whoever has not all rights.
      const bytes = await commandBytes("cat", paths);
      return bytes?.length === addresses.length * CHUNK_BYTES ? bytes : null;
    } finally {
      await commandOutput("rm", ["-f", ...paths]);
    }
  }
}

/** Null for what QEMU refuses; a lost machine still throws. */
async function unlessRefused(answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (thrown) {
    if (thrown instanceof QmpCommandError) return null;
    throw thrown;
  }
}
