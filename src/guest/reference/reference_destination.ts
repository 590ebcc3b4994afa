import type { Extent } from "../../core/extents.ts";
import type { DestinationSide, Finding, GuestDescription, MoveOptions } from "../guest.ts";
import { hostMemory } from "../../host/host_memory.ts";
import type { MemoryItem } from "../memory_items.ts";
import { memoryFindings } from "../memory_room.ts";
import { compareDescriptions } from "./compare.ts";
import { decodeExtents } from "./extent_list.ts";
import type { MachineConnection } from "./machine_connection.ts";
import { MemorySink } from "./memory_sink.ts";

/** The bitmap that records what the machine writes here, for a way back. */
export const WAY_BACK_BITMAP = "way-back";

/** The reference machine as the one that waits for a move. */
export class ReferenceDestination implements DestinationSide {
  #sink: Promise<MemorySink> | null = null;
  #diskNumbers: Promise<ReadonlyMap<string, number>> | null = null;

  constructor(
    private readonly machine: MachineConnection,
    private readonly describe: () => Promise<GuestDescription>,
  ) {}

  async preflight(counterpart: GuestDescription): Promise<Finding[]> {
    const own = await this.describe();
    const findings = compareDescriptions(own, counterpart);
    if (own.runState !== "incoming") {
      findings.push({
        severity: "refusal",
        code: "guest_not_incoming",
        message: `Cannot take the machine: the one that waits here is ${own.runState}`,
        hint: "Register the guest as incoming again",
      });
    }
    const { roomBytes } = await this.machine.call("describe", {});
    const neededBytes = own.disks.reduce((sum, disk) => sum + disk.sizeBytes, 0);
    if (roomBytes < neededBytes) {
      findings.push({
        severity: "refusal",
        code: "space_too_little",
        message: `Cannot take the machine: its disks need ${neededBytes} bytes, ` +
          `there is room for ${roomBytes}`,
        hint: "Make room on the file system of the state directory",
      });
    }
    // Its process has touched none of it yet.
    findings.push(...memoryFindings(counterpart.memoryBytes, await hostMemory()));
    return findings;
  }

  async prepare(_options: MoveOptions): Promise<void> {
    await this.machine.call("disksOpen", {});
  }

  async diskContent(diskId: string): Promise<readonly Extent[]> {
    const disk = await this.#disk(diskId);
    const { body } = await this.machine.callWithBody("diskContent", { disk });
    return decodeExtents(body)[0];
  }

  async readDisk(diskId: string, offsetBytes: number, into: Uint8Array): Promise<void> {
    const disk = await this.#disk(diskId);
    const params = { disk, offsetBytes, lengthBytes: into.length };
    into.set((await this.machine.callWithBody("diskRead", params)).body);
  }

  async writeDisk(diskId: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
    const disk = await this.#disk(diskId);
    await this.machine.callWithBody("diskWrite", { disk, offsetBytes }, bytes);
  }

  async zeroDisk(diskId: string, offsetBytes: number, lengthBytes: number): Promise<void> {
    const disk = await this.#disk(diskId);
    await this.machine.call("diskZero", { disk, offsetBytes, lengthBytes });
  }

  async flushDisks(): Promise<void> {
    await this.machine.call("diskFlush", {});
  }

  async writeMemory(items: readonly MemoryItem[]): Promise<void> {
    this.#sink ??= MemorySink.open(this.machine);
    await (await this.#sink).write(items);
  }

  async resetMemory(): Promise<void> {
    await this.#closeSink();
    await this.machine.call("memoryReset", {});
  }

  async sealDisks(): Promise<void> {
    await this.machine.call("disksSeal", { bitmap: WAY_BACK_BITMAP });
  }

  async load(): Promise<void> {
    this.#sink ??= MemorySink.open(this.machine);
    await (await this.#sink).end();
    this.#sink = null;
  }

  async start(): Promise<void> {
    await this.machine.call("start", {});
  }

  async abandon(): Promise<void> {
    await this.#closeSink();
    await this.machine.end();
  }

  /** Drops the stream's connection without a word to the machine. */
  async letGo(): Promise<void> {
    await this.#closeSink();
  }

  async #closeSink(): Promise<void> {
    const sink = await this.#sink?.catch(() => null);
    sink?.close();
    this.#sink = null;
  }

  async #disk(diskId: string): Promise<number> {
    this.#diskNumbers ??= this.describe().then(({ disks }) =>
      new Map(disks.map((disk, number) => [disk.id, number]))
    );
    const disk = (await this.#diskNumbers).get(diskId);
    if (disk === undefined) throw new RangeError(`the machine has no disk ${diskId}`);
    return disk;
  }
}
