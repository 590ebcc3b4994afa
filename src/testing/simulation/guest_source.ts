import { type Extent, mergeExtents } from "../../core/extents.ts";
import type {
  DirtyDisk,
  DiskRound,
  Finding,
  GuestDescription,
  MemorySource,
  MoveOptions,
  SourceSide,
} from "../../guest/guest.ts";
import { compareDescriptions } from "../../guest/reference/compare.ts";
import { checkDiskCap } from "../../guest/throttles.ts";
import type { SimGuest, SimGuestOptions } from "./guest.ts";
import { UNIT_BYTES } from "./image.ts";
import type { MachineCall } from "./memory_stream.ts";

const ROUND_PREFIX = "round-";

/** A simulated machine as the one that moves away. */
export class SimSource implements SourceSide {
  #round = 0;
  #wasRunning = false;
  #mayThrottleCpu = false;
  readonly #call: MachineCall;

  constructor(private readonly guest: SimGuest, private readonly options: SimGuestOptions) {
    this.#call = (name, act) => guest.call(`source.${name}`, act);
  }

  async preflight(counterpart: GuestDescription): Promise<Finding[]> {
    return compareDescriptions(await this.guest.describe(), counterpart);
  }

  async begin(options: MoveOptions): Promise<void> {
    const wasRunning = await this.#call(
      "found",
      () => this.options.machine.runState === "running",
    );
    this.#wasRunning = wasRunning;
    this.#mayThrottleCpu = options.mayThrottleCpu ?? false;
    await options.remember({ wasRunning });
    await this.#call("begin", () => {
      this.#removeBitmaps();
      this.#round = 0;
      for (const { bitmaps } of this.options.machine.disks) bitmaps.set(this.#bitmap(0), new Set());
    });
  }

  beginDiskRound(): Promise<DiskRound[]> {
    return this.#call("beginDiskRound", () => {
      const from = this.#bitmap(this.#round);
      const to = this.#bitmap(this.#round + 1);
      const isFirst = this.#round++ === 0;
      return this.options.machine.disks.map(({ id, image, bitmaps }): DiskRound => {
        const dirty = bitmaps.get(from) ?? new Set<number>();
        bitmaps.set(to, new Set());
        const units = [...dirty].sort((a, b) => a - b);
        const extents: Extent[] = isFirst
          ? image.extents()
          : mergeExtents(units.map((unit) => image.extentOf(unit)));
        return {
          diskId: id,
          extents,
          read: (offsetBytes, into) =>
            this.guest.call("round.read", () => {
              into.set(image.content.subarray(offsetBytes, offsetBytes + into.byteLength));
            }),
          finish: (kept) =>
            this.guest.call("round.finish", () => {
              bitmaps.delete(from);
              if (kept) return;
              // What is merged goes into the bitmap that records now, whichever that is.
              const present = bitmaps.get(this.#bitmap(this.#round));
              const again = isFirst ? Array.from({ length: image.unitCount }, (_, i) => i) : units;
              for (const unit of again) present?.add(unit);
            }),
        };
      });
    });
  }

  dirtyDisks(): Promise<DirtyDisk[]> {
    return this.#call("dirtyDisks", () => {
      const bitmap = this.#bitmap(this.#round);
      return this.options.machine.disks.map(({ id, bitmaps }) => ({
        diskId: id,
        bytes: (bitmaps.get(bitmap)?.size ?? 0) * UNIT_BYTES +
          this.options.machine.waitingBytes(id),
      }));
    });
  }

  throttleDisks(bytesPerSecond: number | null): Promise<void> {
    return this.#call("throttleDisks", () => {
      checkDiskCap(bytesPerSecond);
      this.options.machine.capDisks(bytesPerSecond);
    });
  }

  startMemory(): Promise<MemorySource> {
    return this.#call("startMemory", () => this.guest.startStream(this.#mayThrottleCpu));
  }

  pause(): Promise<void> {
    return this.#call("pause", () => this.options.machine.stop());
  }

  resume(): Promise<void> {
    return this.#call("resume", () => {
      if (this.#wasRunning) this.#runHere();
    });
  }

  async restore(notes: Record<string, unknown>): Promise<void> {
    const { machine } = this.options;
    await this.guest.stream?.cancel();
    await this.#call("restore", async () => {
      // One that lost its reader in `device` goes on by itself.
      const orphan = machine.outgoing;
      if (orphan !== null && !orphan.isOver) {
        if (machine.isAtGate) orphan.cancelNow();
        else orphan.break();
      }
      const ran = notes.wasRunning ?? machine.runState === "postmigrate";
      const stands = machine.runState === "paused" || machine.runState === "postmigrate";
      if (stands && ran === true) this.#runHere();
      else if (machine.runState === "postmigrate") machine.backToPaused();
      await Promise.resolve();
      machine.capDisks(null);
      this.#removeBitmaps();
    });
  }

  retire(keep: boolean): Promise<void> {
    return this.#call("retire", () => {
      if (!keep) return this.guest.endMachine("retire");
      this.options.watch.effect("retire", this.options.machine);
      this.options.machine.capDisks(null);
      this.#removeBitmaps();
    });
  }

  #runHere(): void {
    const { machine, watch } = this.options;
    if (machine.runState === "running") return;
    watch.effect("runAtSource", machine);
    machine.run();
  }

  #bitmap(round: number): string {
    return `${ROUND_PREFIX}${round}`;
  }

  #removeBitmaps(): void {
    for (const { bitmaps } of this.options.machine.disks) {
      for (const name of [...bitmaps.keys()]) {
        if (name.startsWith(ROUND_PREFIX)) bitmaps.delete(name);
      }
    }
  }
}
