import { GatewayError } from "../../core/errors.ts";
import type { Extent } from "../../core/extents.ts";
import type { DestinationSide, Finding, GuestDescription } from "../../guest/guest.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import { compareDescriptions } from "../../guest/reference/compare.ts";
import type { SimGuest, SimGuestOptions } from "./guest.ts";
import type { SimImage } from "./image.ts";
import { PAGE_BYTES, pageOf, type SimMachine } from "./machine.ts";
import { type MachineCall, readDeviceItems } from "./memory_stream.ts";

const WAY_BACK = "way-back";

/** A simulated machine as the one that waits for a move. */
export class SimDestination implements DestinationSide {
  #isPrepared = false;
  #held: MemoryItem[] = [];
  /** The end of a stream went out and others followed: nothing can replace it any more. */
  #isCommitted = false;
  readonly #call: MachineCall;

  constructor(private readonly guest: SimGuest, private readonly options: SimGuestOptions) {
    this.#call = (name, act) => guest.call(`destination.${name}`, act);
  }

  async preflight(counterpart: GuestDescription): Promise<Finding[]> {
    return compareDescriptions(await this.guest.describe(), counterpart);
  }

  prepare(): Promise<void> {
    return this.#call("prepare", () => {
      const { machine } = this.options;
      if (machine.runState !== "incoming" || machine.disksAreOpen) throw notPrepared(machine);
      this.#isPrepared = true;
      machine.disksAreOpen = true;
    });
  }

  diskContent(diskId: string): Promise<readonly Extent[]> {
    return this.#onDisk("diskContent", diskId, (image) => image.extents());
  }

  readDisk(diskId: string, offsetBytes: number, into: Uint8Array): Promise<void> {
    return this.#onDisk("readDisk", diskId, (image) => {
      into.set(image.content.subarray(offsetBytes, offsetBytes + into.byteLength));
    });
  }

  writeDisk(diskId: string, offsetBytes: number, bytes: Uint8Array): Promise<void> {
    return this.#onDisk(
      "writeDisk",
      diskId,
      (image) => image.write(offsetBytes, bytes, { cached: true }),
    );
  }

  zeroDisk(diskId: string, offsetBytes: number, lengthBytes: number): Promise<void> {
    return this.#onDisk(
      "zeroDisk",
      diskId,
      (image) => image.zero(offsetBytes, lengthBytes, { cached: true }),
    );
  }

  flushDisks(): Promise<void> {
    return this.#call("flushDisks", () => {
      this.#requireOpen();
      for (const { image } of this.options.machine.disks) image.flush();
    });
  }

  writeMemory(items: readonly MemoryItem[]): Promise<void> {
    return this.#call("writeMemory", () => {
      if (!this.#isPrepared) throw notPrepared(this.options.machine);
      for (const item of items) this.#accept(item);
    });
  }

  resetMemory(): Promise<void> {
    return this.#call("resetMemory", () => {
      if (this.#isCommitted) throw loadFailed("the end of its stream had been written");
      this.#held = [];
    });
  }

  sealDisks(): Promise<void> {
    return this.#call("sealDisks", () => {
      const { machine } = this.options;
      this.#requireOpen();
      for (const { image, bitmaps } of machine.disks) {
        image.flush();
        bitmaps.set(WAY_BACK, new Set());
      }
      machine.disksAreOpen = false;
    });
  }

  load(): Promise<void> {
    return this.#call("load", () => {
      const { machine, watch } = this.options;
      if (!this.#isPrepared || machine.runState !== "incoming") throw notPrepared(machine);
      const ticks = readDeviceItems(this.#held);
      if (ticks === null) throw loadFailed("its stream is not complete");
      watch.effect("load", machine);
      machine.loaded(ticks);
    });
  }

  start(): Promise<void> {
    return this.#call("start", () => {
      const { machine, watch } = this.options;
      if (machine.runState === "running") return;
      if (machine.runState === "incoming") throw loadFailed("its memory never arrived");
      watch.effect("runAtDestination", machine);
      machine.run();
    });
  }

  async abandon(): Promise<void> {
    if (this.options.machine.isGone) return;
    await this.#call("abandon", () => this.guest.endMachine("abandon"));
  }

  #accept(item: MemoryItem): void {
    if (item.kind === "opaque") return void this.#held.push(item);
    if (this.#held.length > 0) this.#isCommitted = true;
    const { memory } = this.options.machine;
    if (item.kind === "pages") {
      item.pageIndexes.forEach((index, i) => {
        const content = item.contents.subarray(i * PAGE_BYTES, (i + 1) * PAGE_BYTES);
        memory.set(content, pageOf(item.block, index) * PAGE_BYTES);
      });
    } else if (item.kind === "zeros") {
      for (let i = 0; i < item.ranges.length; i += 2) {
        const at = pageOf(item.block, item.ranges[i]) * PAGE_BYTES;
        memory.fill(0, at, at + item.ranges[i + 1] * PAGE_BYTES);
      }
    }
  }

  #onDisk<T>(
    name: string,
    diskId: string,
    act: (image: SimImage) => T,
  ): Promise<T> {
    return this.#call(name, () => {
      this.#requireOpen();
      return act(this.options.machine.disk(diskId).image);
    });
  }

  #requireOpen(): void {
    const { machine } = this.options;
    if (!this.#isPrepared || !machine.disksAreOpen) throw notPrepared(machine);
  }
}

function notPrepared(machine: SimMachine): GatewayError {
  return new GatewayError("guest_not_incoming", `Cannot feed the machine: ${machine.runState}`, {
    hint: "Start the move again",
  });
}

function loadFailed(reason: string): GatewayError {
  return new GatewayError("memory_load_failed", `Cannot load the machine: ${reason}`, {
    hint: "Register it again for a retry",
  });
}
