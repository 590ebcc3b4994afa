import { Random } from "../../../core/random.ts";
import type { Measurement } from "../measurement.ts";
import { DiskFluid } from "./disks.ts";
import type { MachineModel } from "./machine_model.ts";
import { MemoryFluid } from "./memory.ts";
import { PathFluid } from "./path.ts";
import type { PathModel } from "./path_model.ts";

/** While memory and disks both have something to send, the part that disks get. */
const DISK_SHARE = 0.2;

/** Machine, disks and path together, at one moment of a move. */
export class World {
  readonly memory: MemoryFluid;
  readonly disks: DiskFluid;
  readonly path: PathFluid;
  readonly random: Random;
  nowMs = 0;
  isPaused = false;
  capBytesPerSecond: number | null = null;
  diskCapBytesPerSecond: number | null = null;
  cpuShare = 0;
  #startsMemoryAtMs = Infinity;

  constructor(
    readonly machine: MachineModel,
    path: PathModel,
    seed: number,
    private readonly startWallMs: number,
  ) {
    this.random = new Random(seed, "move");
    this.memory = new MemoryFluid(machine);
    this.disks = new DiskFluid(machine);
    this.path = new PathFluid(path, new Random(seed, "path"));
  }

  get stage(): Measurement["stage"] {
    if (!this.disks.isFirstRoundOver) return "firstRound";
    return this.memory.isRunning ? "memory" : "disks";
  }

  startMemory(): void {
    this.#startsMemoryAtMs = this.nowMs + 100 + this.path.segment.roundTripMs;
  }

  /** Some time passes in which nothing is decided. */
  step(ms: number): void {
    this.#write(ms);
    this.memory.read(ms);
    const room = this.path.advance(ms, this.capBytesPerSecond);
    this.nowMs += ms;
    const memoryWants = this.memory.isRunning && this.memory.parkedWireBytes > 0;
    const first = this.disks.send(memoryWants ? room * DISK_SHARE : room);
    const second = this.memory.isRunning ? this.memory.send(room - first) : 0;
    const third = memoryWants ? this.disks.send(room - first - second) : 0;
    this.path.hand(first + second + third, ms);
    if (!this.isPaused) this.disks.turn(this.nowMs, this.path.segment.roundTripMs);
    if (this.nowMs >= this.#startsMemoryAtMs) {
      this.#startsMemoryAtMs = Infinity;
      this.memory.start();
    }
  }

  /** The memory stream ends, and with it what had been done to the processor. */
  endStream(): void {
    this.memory.stop();
    this.cpuShare = 0;
  }

  measure(): Measurement {
    const { machine, path } = this;
    const linkBytes = path.sentBytes - path.acknowledgedBytes;
    return {
      nowMs: this.nowMs,
      wallMs: this.startWallMs + this.nowMs,
      stage: this.stage,
      memory: this.memory.measure(linkBytes),
      memoryTotalBytes: machine.memoryBytes,
      disks: this.disks.measure(),
      diskWireRatio: machine.diskWireRatio,
      path: path.measure(this.capBytesPerSecond),
      isLinkUp: path.isUp,
      sentWireBytes: path.sentBytes,
      appliedWireBytes: path.acknowledgedBytes,
      isRunning: machine.isRunning,
      canHold: machine.canHold,
      canThrottleDisks: machine.canThrottleDisks,
      canThrottleCpu: machine.canThrottleCpu,
      handoverWorkMs: machine.handoverWorkMs,
    };
  }

  #write(ms: number): void {
    const { phases, isRunning } = this.machine;
    if (this.isPaused || !isRunning) return;
    const isBusy = phases === null || this.nowMs % phases.periodMs < phases.busyMs;
    const factor = isBusy ? 1 - this.cpuShare : 0;
    this.memory.write(ms, factor);
    this.disks.write(ms, factor, this.diskCapBytesPerSecond);
  }
}
