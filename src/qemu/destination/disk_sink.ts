import { GatewayError } from "../../core/errors.ts";
import type { Extent } from "../../core/extents.ts";
import type { NbdClient } from "../../nbd/client.ts";
import { readDrives } from "../describe.ts";
import { BITMAP_PREFIX, type Drive } from "../drives.ts";
import { deleteExports, EXPORT_PREFIX, exportIds, NbdExports, stopServer } from "../exports.ts";
import { processesWithOpenFile } from "../host_process.ts";
import type { Machine } from "../machine.ts";
import { ReadOnlyMedium } from "./read_only_medium.ts";

/** Catches what the machine writes after its arrival, for the way back (design section 2). */
export const RETURN_BITMAP = `${BITMAP_PREFIX}return`;
const GRANULARITY_BYTES = 65_536;

/** The disks of an incoming QEMU, writable for the gateway alone until they are sealed. */
export class DiskSink {
  readonly #machine: Machine;
  readonly #exports: NbdExports;
  readonly #clients = new Map<string, NbdClient>();
  readonly #media = new Map<string, ReadOnlyMedium>();
  #drives: readonly Drive[] = [];

  constructor(machine: Machine) {
    this.#machine = machine;
    this.#exports = new NbdExports(machine);
  }

  async open(socketPath: string): Promise<void> {
    this.#drives = await readDrives(this.#machine);
    await this.#exports.start(socketPath);
    await Promise.all(this.#drives.map(async (drive, index) => {
      if (drive.readOnly) {
        const medium = await ReadOnlyMedium.open(this.#machine, this.#exports, drive, index);
        this.#media.set(drive.id, medium);
        return;
      }
      const id = `${EXPORT_PREFIX}in-${index}`;
      const client = await this.#exports.open(id, drive.nodeName, { writable: true });
      this.#clients.set(drive.id, client);
    }));
  }

  async content(diskId: string): Promise<readonly Extent[]> {
    return await this.#try(this.#reader(diskId).allocatedExtents());
  }

  async read(diskId: string, offsetBytes: number, into: Uint8Array): Promise<void> {
    await this.#try(this.#reader(diskId).read(offsetBytes, into.length, into));
  }

  async write(diskId: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
    await this.#try(this.#target(diskId).write(offsetBytes, bytes));
  }

  async zero(diskId: string, offsetBytes: number, lengthBytes: number): Promise<void> {
    const target = this.#target(diskId);
    await this.#try(
      target instanceof ReadOnlyMedium
        ? target.zero(offsetBytes, lengthBytes)
        : target.writeZeroes(offsetBytes, lengthBytes),
    );
  }

  async flush(): Promise<void> {
    const targets = [...this.#clients.values(), ...this.#media.values()];
    await this.#try(Promise.all(targets.map((target) => target.flush())));
  }

  /**
   * Flushes, ends the gateway's access and sees it ended, then adds the return bitmaps.
   *
   * @returns the check that no other process has an image open, still under way: the process table
   * takes tens of ms to read, and the machine may load meanwhile. It begins first, because our own
   * access is QEMU's and counts for no other process
   */
  async seal(): Promise<{ readonly alone: Promise<void> }> {
    const alone = this.#checkAlone();
    alone.catch(() => {});
    await this.flush();
    for (const medium of this.#media.values()) await medium.close();
    this.#media.clear();
    this.#clients.clear();
    await this.#exports.disconnect();
    await stopServer(this.#machine);
    const left = await exportIds(this.#machine);
    if (left.length > 0) {
      throw inUse(this.#machine.id, `QEMU still exports ${left.join(", ")}`);
    }
    await this.#addReturnBitmaps();
    return { alone };
  }

  async disconnect(): Promise<void> {
    this.#media.clear();
    this.#clients.clear();
    await this.#exports.disconnect();
  }

  async #addReturnBitmaps(): Promise<void> {
    const drives = (await readDrives(this.#machine)).filter((drive) => !drive.readOnly);
    const actions = drives.flatMap(({ nodeName: node, bitmaps }) => {
      const add = {
        type: "block-dirty-bitmap-add",
        data: { node, name: RETURN_BITMAP, granularity: GRANULARITY_BYTES },
      };
      const old = bitmaps.some(({ name }) => name === RETURN_BITMAP);
      const data = { node, name: RETURN_BITMAP };
      return old ? [{ type: "block-dirty-bitmap-remove", data }, add] : [add];
    });
    if (actions.length > 0) await this.#machine.execute("transaction", { actions });
  }

  async #checkAlone(): Promise<void> {
    if (this.#machine.address.kind !== "unix") return;
    await Promise.all(this.#drives.map(async ({ id, path, readOnly }) => {
      if (path === null || readOnly) return;
      const pids = await processesWithOpenFile(path).catch(() => []);
      if (pids.length > 1) throw inUse(this.#machine.id, `disk "${id}" is open in ${pids}`);
    }));
  }

  #reader(diskId: string): NbdClient {
    const target = this.#target(diskId);
    return target instanceof ReadOnlyMedium ? target.reader : target;
  }

  #target(diskId: string): NbdClient | ReadOnlyMedium {
    const client = this.#clients.get(diskId) ?? this.#media.get(diskId);
    if (client) return client;
    throw new GatewayError(
      "disk_missing",
      `Cannot reach disk "${diskId}" of "${this.#machine.id}": it is not open for the gateway`,
      { hint: "The disk must be there under this id, and not be sealed yet" },
    );
  }

  async #try<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (thrown) {
      throw await this.#machine.explain(thrown);
    }
  }
}

/** Deletes exports that an earlier gateway left; the machine must not run beside them. */
export async function removeLeftExports(machine: Machine): Promise<void> {
  const ids = await exportIds(machine);
  await deleteExports(machine, ids.filter((id) => id.startsWith(EXPORT_PREFIX)));
  const foreign = ids.filter((id) => !id.startsWith(EXPORT_PREFIX));
  if (foreign.length > 0) throw inUse(machine.id, `QEMU exports ${foreign.join(", ")}`);
}

function inUse(id: string, state: string): GatewayError {
  return new GatewayError("image_in_use", `Cannot run "${id}" alone on its disks: ${state}`, {
    hint: "End the other user of the image; two writers would destroy it",
  });
}
