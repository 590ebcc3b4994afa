import type { Clock } from "../../core/clock.ts";
import { invariant } from "../../core/assert.ts";
import type { Extent } from "../../core/extents.ts";
import type {
  DirtyDisk,
  DiskRound,
  Finding,
  GuestDescription,
  MemorySource,
  MoveOptions,
  SourceSide,
} from "../guest.ts";
import { checkDiskCap } from "../throttles.ts";
import { compareDescriptions } from "./compare.ts";
import { decodeExtents } from "./extent_list.ts";
import type { MachineConnection } from "./machine_connection.ts";
import { ReferenceMemorySource } from "./memory_source.ts";

/** Every bitmap of a move begins so; the bitmap for the way back does not. */
const BITMAP_PREFIX = "move-";

/** The reference machine as the one that moves away. */
export class ReferenceSource implements SourceSide {
  #round = 0;
  #foundPaused = false;
  #options: Pick<MoveOptions, "sendFree" | "mayThrottleCpu"> = {};
  #memory: ReferenceMemorySource | null = null;

  constructor(
    private readonly machine: MachineConnection,
    private readonly clock: Clock,
    private readonly describe: () => Promise<GuestDescription>,
  ) {}

  async preflight(counterpart: GuestDescription): Promise<Finding[]> {
    const own = await this.describe();
    const findings = compareDescriptions(own, counterpart);
    if (own.runState !== "running" && own.runState !== "paused") {
      findings.push({
        severity: "refusal",
        code: "guest_not_source",
        message: `Cannot move the machine: it is ${own.runState}`,
        hint: "Move it from the site where it runs",
      });
    }
    return findings;
  }

  async begin(options: MoveOptions): Promise<void> {
    const { runState } = await this.machine.call("describe", {});
    await options.remember({ foundRunState: runState });
    this.#foundPaused = runState === "paused";
    this.#options = options;
    this.#round = 0;
    await this.machine.call("trackEnd", { prefix: BITMAP_PREFIX });
    await this.machine.call("trackBegin", { bitmap: this.#bitmap() });
  }

  async beginDiskRound(): Promise<DiskRound[]> {
    const from = this.#bitmap();
    const full = this.#round === 0;
    this.#round++;
    const { body } = await this.machine.callWithBody("roundBegin", {
      from,
      to: this.#bitmap(),
      full,
    });
    const { disks } = await this.machine.call("describe", {});
    const extents = decodeExtents(body);
    return disks.map(({ id }, disk) => this.#diskRound(disk, id, from, extents[disk]));
  }

  async dirtyDisks(): Promise<DirtyDisk[]> {
    return await this.machine.call("dirtyDisks", { bitmap: this.#bitmap() });
  }

  async throttleDisks(bytesPerSecond: number | null): Promise<void> {
    checkDiskCap(bytesPerSecond);
    await this.machine.call("throttleDisks", { bytesPerSecond });
  }

  async startMemory(): Promise<MemorySource> {
    this.#memory = await ReferenceMemorySource.open(this.machine, this.clock, this.#options);
    return this.#memory;
  }

  async pause(): Promise<void> {
    await this.machine.call("pause", {});
  }

  async resume(): Promise<void> {
    // As the machine was found, so it goes on.
    if (!this.#foundPaused) await this.machine.call("resume", {});
  }

  async restore(notes: Record<string, unknown>, _options: MoveOptions): Promise<void> {
    this.#memory?.drop();
    this.#memory = null;
    await this.machine.call("memoryCancel", {});
    await this.machine.call("throttleDisks", { bytesPerSecond: null });
    await this.machine.call("trackEnd", { prefix: BITMAP_PREFIX });
    const { runState } = await this.machine.call("describe", {});
    if (runState !== "paused" && runState !== "postmigrate") return;
    // Without notes only a machine that gave its state away is known to have been stopped by us.
    const ran = notes.foundRunState === "running" ||
      (notes.foundRunState === undefined && runState === "postmigrate");
    await this.machine.call(ran ? "resume" : "pause", {});
  }

  async retire(keep: boolean): Promise<void> {
    if (!keep) return await this.machine.end();
    const { runState } = await this.machine.call("describe", {});
    invariant(runState === "postmigrate", `a machine that is ${runState} must not be retired`);
    await this.machine.call("throttleDisks", { bytesPerSecond: null });
    await this.machine.call("trackEnd", { prefix: BITMAP_PREFIX });
  }

  /** Drops the stream's connection without a word to the machine. */
  letGo(): void {
    this.#memory?.drop();
    this.#memory = null;
  }

  #bitmap(): string {
    return `${BITMAP_PREFIX}${this.#round}`;
  }

  #diskRound(disk: number, diskId: string, bitmap: string, extents: Extent[]): DiskRound {
    return {
      diskId,
      extents,
      read: async (offsetBytes, into) => {
        const params = { disk, offsetBytes, lengthBytes: into.length };
        into.set((await this.machine.callWithBody("diskRead", params)).body);
      },
      finish: async (kept) => {
        const mergeInto = kept ? null : this.#bitmap();
        await this.machine.call("roundEnd", { disk, bitmap, mergeInto });
      },
    };
  }
}
