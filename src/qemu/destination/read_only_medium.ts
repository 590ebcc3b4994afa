import { Buffer } from "node:buffer";
import { GatewayError } from "../../core/errors.ts";
import type { NbdClient } from "../../nbd/client.ts";
import type { Drive } from "../drives.ts";
import { EXPORT_PREFIX, type NbdExports } from "../exports.ts";
import { processesWithOpenFile } from "../host_process.ts";
import type { Machine } from "../machine.ts";

const COMPARE_BYTES = 1024 * 1024;
const WRITES = "write what differs to";

/**
 * A read-only disk of an incoming machine, such as an ISO image.
 *
 * The two sites often have the same medium already, perhaps on storage that nobody may write: each
 * range that arrives is compared, and only a difference opens the image for writing. The machine's
 * own node stays read-only and is inactive all the while, so nodes beside it do the work.
 */
export class ReadOnlyMedium {
  #writer: Promise<NbdClient> | null = null;

  private constructor(
    private readonly machine: Machine,
    private readonly exports: NbdExports,
    private readonly drive: Drive,
    private readonly index: number,
    readonly reader: NbdClient,
  ) {}

  /** @throws {GatewayError} `read_only_media` where the image is no file that QEMU can open again */
  static async open(
    machine: Machine,
    exports: NbdExports,
    drive: Drive,
    index: number,
  ): Promise<ReadOnlyMedium> {
    const reader = await openNode(machine, exports, drive, `ro-${index}`, true);
    return new ReadOnlyMedium(machine, exports, drive, index, reader);
  }

  async write(offsetBytes: number, bytes: Uint8Array): Promise<void> {
    const present = await this.reader.read(offsetBytes, bytes.length);
    if (equal(present, bytes)) return;
    await (await this.#writable()).write(offsetBytes, bytes);
  }

  async zero(offsetBytes: number, lengthBytes: number): Promise<void> {
    const endBytes = offsetBytes + lengthBytes;
    for (let at = offsetBytes; at < endBytes; at += COMPARE_BYTES) {
      const present = await this.reader.read(at, Math.min(COMPARE_BYTES, endBytes - at));
      if (present.every((byte) => byte === 0)) continue;
      await (await this.#writable()).writeZeroes(at, endBytes - at);
      return;
    }
  }

  async flush(): Promise<void> {
    await (await this.#writer)?.flush();
  }

  /** Takes the helper nodes away again. */
  async close(): Promise<void> {
    const names = [`ro-${this.index}`];
    if (this.#writer) names.push(`rw-${this.index}`);
    for (const name of names) {
      await this.exports.close(`${EXPORT_PREFIX}${name}`);
      await this.machine.execute("blockdev-del", { "node-name": `${EXPORT_PREFIX}${name}` });
    }
  }

  #writable(): Promise<NbdClient> {
    return this.#writer ??= this.#openWriter().catch((error) => {
      this.#writer = null;
      throw error;
    });
  }

  /** A medium that differs may be what other machines here read, such as an installer's image. */
  async #openWriter(): Promise<NbdClient> {
    const { machine, exports, drive } = this;
    // Images of another host cannot be looked at from here.
    const pids = machine.address.kind === "unix" && drive.path !== null
      ? await processesWithOpenFile(drive.path).catch(() => [])
      : [];
    if (pids.length > 1) throw refused(drive, WRITES, `processes ${pids.join(", ")} have it open`);
    return await openNode(machine, exports, drive, `rw-${this.index}`, false);
  }
}

async function openNode(
  machine: Machine,
  exports: NbdExports,
  drive: Drive,
  name: string,
  readOnly: boolean,
): Promise<NbdClient> {
  const node = `${EXPORT_PREFIX}${name}`;
  const doing = readOnly ? "read" : WRITES;
  if (drive.path === null) throw refused(drive, doing, "its image is not a file");
  try {
    const file = { driver: "file", filename: drive.path };
    await machine.execute("blockdev-add", {
      ...(drive.format === "file" ? file : { driver: drive.format, file }),
      "node-name": node,
      "read-only": readOnly,
    });
  } catch (thrown) {
    throw refused(drive, doing, thrown instanceof Error ? thrown.message : String(thrown));
  }
  return await exports.open(node, node, { writable: !readOnly });
}

function refused(drive: Drive, doing: string, reason: string): GatewayError {
  return new GatewayError(
    "read_only_media",
    `Cannot ${doing} the read-only disk "${drive.id}": ${reason}`,
    { hint: "Give the destination the same medium, make its file writable, or eject it" },
  );
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}
