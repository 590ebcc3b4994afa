import fs from "node:fs";
import { GatewayError } from "../../core/errors.ts";
import type { DirtySample } from "../dirty_sample.ts";
import type { RunState } from "../guest.ts";
import { checkDiskCap } from "../throttles.ts";
import type { VerifyReport } from "./audit.ts";
import { BlockDevice } from "./block_device.ts";
import { CoreMachine } from "./core_machine.ts";
import { decodeCpuState, encodeCpuState } from "./cpu_state.ts";
import { type IncomingHost, IncomingStream } from "./incoming_stream.ts";
import type { MachineMemory } from "./memory.ts";
import type { MessageReader } from "./messages.ts";
import {
  type OutgoingHost,
  type OutgoingOptions,
  OutgoingStream,
  outOfOrder,
} from "./outgoing_stream.ts";
import { Pace } from "./pace.ts";
import {
  type MachineConfiguration,
  type MachineDescription,
  PROTOCOL_VERSION,
} from "./protocol.ts";
import { sample } from "./sampler.ts";
import { TICK_MS } from "./units.ts";

/** A machine that was not scheduled for longer than this has lost the time. */
const CATCH_UP_TICKS_MAX = 10;
/** Slice of an audit between two turns of the event loop. */
const AUDIT_SLICE_MS = 20;

/** The machine as it runs in its process: core, time, run state and streams. */
export class Machine implements OutgoingHost, IncomingHost {
  readonly #core: CoreMachine;
  readonly #pace = new Pace();
  #state: Exclude<RunState, "gone">;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #dueMs = 0;
  #pausedAtMs = performance.now();
  #audits = 0;
  /** Loaded from a stream and not started yet. */
  #arrived = false;
  #gatewayMayWrite = false;
  #outgoing: { stream: OutgoingStream; ended: Promise<void> } | null = null;
  #incoming: { stream: IncomingStream; ended: Promise<void> } | null = null;
  #runsAfterStream = false;
  /** Paused by a stream that was lost at its gate. */
  #keptAtGate = false;

  constructor(
    private readonly configuration: MachineConfiguration,
    private readonly stateDirectory: string,
    private readonly onEvent: (event: "stopped" | "resumed") => void,
  ) {
    const keep = configuration.role === "incoming";
    const disks = configuration.disks.map((disk) =>
      new BlockDevice(disk.id, disk.path, disk.sizeBytes, { keep })
    );
    this.#core = new CoreMachine(configuration.memoryBytes, disks, configuration.workload);
    this.#state = "incoming";
    if (configuration.role === "source") {
      this.#core.powerOn();
      this.#run();
    }
  }

  get memory(): MachineMemory {
    return this.#core.memory;
  }

  disk(number: number): BlockDevice {
    const disk = this.#core.disks[number];
    if (!disk) throw new RangeError(`the machine has no disk ${number}`);
    return disk;
  }

  get disks(): readonly BlockDevice[] {
    return this.#core.disks;
  }

  describe(): MachineDescription {
    const { bavail, bsize } = fs.statfsSync(this.stateDirectory);
    const ownBytes = this.disks.reduce((sum, disk) => sum + disk.storedBytes, 0);
    return {
      protocolVersion: PROTOCOL_VERSION,
      pid: Deno.pid,
      runState: this.#state,
      memoryBytes: this.memory.lengthBytes,
      disks: this.configuration.disks,
      roomBytes: bavail * bsize + ownBytes,
      bitmaps: [...new Set(this.disks.flatMap((disk) => disk.bitmapNames))],
      ticks: this.#state === "incoming" ? null : this.#core.registers.tick,
    };
  }

  pause(): void {
    if (this.#state === "running") this.#stop();
    else if (this.#state === "incoming") throw outOfOrder("pause it", this.#state);
    this.#state = "paused";
    this.#runsAfterStream = false;
  }

  resume(): void {
    if (this.#state === "running") return;
    const startable = this.#state === "postmigrate" || (this.#state === "paused" && !this.#arrived);
    if (!startable || this.#keptAtGate || (this.#outgoing && !this.#runsBeforeGate())) {
      throw outOfOrder("resume it", this.#describeState());
    }
    this.#runsAfterStream = true;
    this.#run();
  }

  start(): void {
    if (this.#state === "running") return;
    if (!this.#arrived) throw outOfOrder("start it", this.#describeState());
    if (this.#gatewayMayWrite) throw outOfOrder("start it", "not sealed: its disks are open");
    this.#arrived = false;
    this.#run();
  }

  /** @param bytesPerSecond for all disks together; null for no cap */
  capDisks(bytesPerSecond: number | null): void {
    checkDiskCap(bytesPerSecond);
    this.#pace.capDisks(bytesPerSecond);
  }

  get cpuThrottleShare(): number {
    return this.#pace.cpuThrottleShare;
  }

  throttleCpu(share: number): void {
    this.#pace.throttleCpu(share);
  }

  async sample(windowsMs: readonly number[]): Promise<DirtySample> {
    const isHere = this.#state === "running" || this.#state === "paused";
    if (!isHere) throw outOfOrder("watch it", this.#describeState());
    return await sample(this.#core, windowsMs);
  }

  /** Freezes the machine while it looks at itself; its state stays what it is. */
  async verify(): Promise<VerifyReport> {
    if (this.#state === "incoming") throw outOfOrder("verify it", "waiting for its state");
    this.#audits++;
    clearTimeout(this.#timer);
    try {
      const slices = this.#core.audit();
      for (;;) {
        const untilMs = performance.now() + AUDIT_SLICE_MS;
        while (performance.now() < untilMs) {
          const step = slices.next();
          if (step.done) return step.value;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      this.#audits--;
      if (this.#state === "running") this.#schedule();
    }
  }

  openDisks(): void {
    if (this.#state !== "incoming") throw outOfOrder("open its disks", this.#describeState());
    this.#gatewayMayWrite = true;
  }

  diskForGateway(number: number): BlockDevice {
    if (!this.#gatewayMayWrite) {
      throw outOfOrder("write its disk", "in charge of its disks itself");
    }
    return this.disk(number);
  }

  async sealDisks(bitmap: string): Promise<void> {
    this.#gatewayMayWrite = false;
    for (const disk of this.disks) {
      await disk.flush();
      disk.startBitmap(bitmap);
    }
  }

  /** Serves a connection that takes the memory out, to its end. */
  async serveOutgoing(
    connection: Deno.Conn,
    reader: MessageReader,
    options: OutgoingOptions,
  ): Promise<void> {
    const possible = this.#state === "running" || this.#state === "paused";
    if (!possible || this.#outgoing || this.#keptAtGate || this.#arrived) {
      throw outOfOrder("start a memory stream", this.#describeState());
    }
    this.#runsAfterStream = this.#state === "running";
    const stream = new OutgoingStream(this, connection, reader, options);
    this.#outgoing = { stream, ended: stream.run() };
    await this.#outgoing.ended;
  }

  async serveIncoming(connection: Deno.Conn, reader: MessageReader): Promise<void> {
    if (this.#state !== "incoming" || this.#incoming) {
      throw outOfOrder("take a memory stream", this.#describeState());
    }
    const stream = new IncomingStream(this, connection, reader);
    this.#incoming = { stream, ended: stream.run() };
    await this.#incoming.ended;
  }

  outgoing(): OutgoingStream {
    if (this.#outgoing) return this.#outgoing.stream;
    throw new GatewayError("memory_stream_failed", "Cannot reach the stream: it has ended", {
      hint: "Start the move again",
    });
  }

  async cancelOutgoing(): Promise<void> {
    this.#outgoing?.stream.cancel();
    await this.#outgoing?.ended;
    if (this.#keptAtGate) {
      this.#keptAtGate = false;
      if (this.#runsAfterStream) this.#run();
    }
  }

  async resetIncoming(): Promise<void> {
    if (this.#state !== "incoming") throw outOfOrder("drop its memory", this.#describeState());
    // The gateway has closed its end; pages that it sent before are still on their way in.
    await this.#incoming?.ended;
  }

  pausedAgoMs(): number {
    return performance.now() - this.#pausedAtMs;
  }

  isFree(page: number): boolean {
    return this.#core.isFree(page);
  }

  cpuState(): Uint8Array {
    return encodeCpuState(this.#core);
  }

  reachedGate(): void {
    if (this.#state === "running") this.#stop();
  }

  gaveAway(): void {
    this.#state = "postmigrate";
    this.#pace.throttleCpu(0);
    this.#outgoing = null;
  }

  ended({ keepPaused }: { keepPaused: boolean }): void {
    this.#outgoing = null;
    this.#pace.throttleCpu(0);
    if (this.#state !== "paused") return;
    if (keepPaused) this.#keptAtGate = true;
    else if (this.#runsAfterStream) this.#run();
  }

  load(cpuState: Uint8Array): void {
    const { workload, registers } = decodeCpuState(cpuState, this.#core.shape);
    this.#core.load(workload, registers);
    this.#arrived = true;
    this.#state = "paused";
    this.#pausedAtMs = performance.now();
  }

  incomingEnded(): void {
    this.#incoming = null;
  }

  #runsBeforeGate(): boolean {
    return this.#outgoing?.stream.beforeGate ?? false;
  }

  #describeState(): string {
    if (this.#keptAtGate || (this.#outgoing && !this.#runsBeforeGate())) return "at the gate";
    if (this.#arrived) return "loaded and not started";
    return this.#state;
  }

  #run(): void {
    this.#state = "running";
    this.#dueMs = performance.now() + TICK_MS;
    this.#schedule();
    this.onEvent("resumed");
  }

  #stop(): void {
    clearTimeout(this.#timer);
    this.#state = "paused";
    this.#pausedAtMs = performance.now();
    this.onEvent("stopped");
  }

  #schedule(): void {
    if (this.#audits > 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, this.#dueMs - performance.now()));
  }

  #step(): void {
    const turn = this.#pace.next();
    if (turn.memory) this.#core.stepMemory();
    if (!turn.disks) return;
    const before = sum(this.#core.diskWrittenBytes);
    this.#core.stepDisks();
    this.#pace.wrote(sum(this.#core.diskWrittenBytes) - before);
  }

  #tick(): void {
    const nowMs = performance.now();
    const behind = Math.floor((nowMs - this.#dueMs) / TICK_MS) + 1;
    for (let step = 0; step < Math.min(behind, CATCH_UP_TICKS_MAX); step++) this.#step();
    this.#dueMs = behind > CATCH_UP_TICKS_MAX ? nowMs + TICK_MS : this.#dueMs + behind * TICK_MS;
    this.#outgoing?.stream.sampleRate();
    this.#schedule();
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
