import { GatewayError } from "../../core/errors.ts";
import type { DirtySample } from "../../guest/dirty_sample.ts";
import type {
  DestinationSide,
  Guest,
  GuestDescription,
  GuestEvent,
  RunState,
  SourceSide,
} from "../../guest/guest.ts";
import type { Dice } from "./dice.ts";
import { SimDestination } from "./guest_destination.ts";
import { SimSource } from "./guest_source.ts";
import type { SimMachine } from "./machine.ts";
import { type MachineCall, SimMemoryStream } from "./memory_stream.ts";
import { NEVER, type SimProcess } from "./process.ts";

/** Who stands around every call to a machine: faults before and after it, and the rules it must keep. */
export interface CallWatch {
  /** May end the process, the machine or the attachment, or throw what the call fails with. */
  readonly around: (site: string, name: string, phase: "before" | "after") => void;
  /** An effect that only a record of the ledger allows is about to happen. */
  readonly effect: (effect: Effect, machine: SimMachine) => void;
}

/** What a gateway may do to a machine only with the right record behind it. */
export type Effect = "runAtSource" | "runAtDestination" | "retire" | "abandon" | "load";

export interface SimGuestOptions {
  readonly machine: SimMachine;
  readonly process: SimProcess;
  readonly dice: Dice;
  readonly watch: CallWatch;
  /** What a call takes at most, each way. */
  readonly latencyMsMax: number;
  /** Time that the machine takes for a group of its memory stream. */
  readonly groupMs: number;
  /** False for a machine that cannot be held at its switch. */
  readonly holds: boolean;
}

/** One gateway process's attachment to a machine's process. */
export class SimGuest implements Guest {
  readonly kind = "qemu";
  readonly source: SourceSide;
  readonly destination: DestinationSide;
  readonly #listeners = new Set<(event: GuestEvent) => void>();
  readonly #stopListening: () => void;
  #isDetached = false;
  #stream: SimMemoryStream | null = null;

  constructor(private readonly options: SimGuestOptions) {
    const { machine, process } = options;
    this.source = new SimSource(this, options);
    this.destination = new SimDestination(this, options);
    this.#stopListening = machine.onEvent((event) => {
      process.later(this.#latencyMs(), () => this.#hears(event));
    });
    process.onEnd(() => this.lose());
  }

  get machine(): SimMachine {
    return this.options.machine;
  }

  describe(): Promise<GuestDescription> {
    return this.call("describe", () => {
      const { machine, holds } = this.options;
      return {
        kind: "qemu",
        version: "10.0.0",
        machineType: "sim",
        cpuModel: null,
        memoryBytes: machine.memory.byteLength,
        runState: machine.runState,
        disks: machine.disks.map(({ id, image }) => ({
          id,
          sizeBytes: image.sizeBytes,
          allocatedBytes: null,
          format: "raw",
          readOnly: false,
          path: image.path,
        })),
        devices: [],
        canHoldSwitchover: holds,
      };
    });
  }

  runState(): Promise<RunState> {
    if (this.machine.isGone) return Promise.resolve("gone");
    return this.call("runState", () => this.machine.runState);
  }

  sampleDirtyRate(): Promise<DirtySample> {
    return Promise.reject(new Error("no plan is asked for here"));
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async detach(): Promise<void> {
    this.lose();
    await this.options.process.pause(this.#latencyMs());
  }

  end(): Promise<void> {
    return this.call("end", () => this.#quit("operator"));
  }

  /** Its sockets are closed: by its process's end, by itself, or by something between. */
  lose(): void {
    if (this.#isDetached) return;
    this.#isDetached = true;
    this.#stopListening();
    this.#stream?.lost((delayMs, act) => this.options.machine.later(delayMs, act));
    this.#stream = null;
  }

  get stream(): SimMemoryStream | null {
    return this.#stream;
  }

  startStream(mayThrottleCpu: boolean): SimMemoryStream {
    const { machine, process, dice, groupMs, holds } = this.options;
    const isThere = machine.runState === "running" || machine.runState === "paused";
    if (!isThere || machine.isAtGate) {
      throw new GatewayError("memory_stream_failed", "Cannot start a memory stream now", {
        hint: `The machine is ${machine.runState}`,
      });
    }
    const { call } = this;
    const shape = { groupMs, holds, mayThrottleCpu };
    this.#stream = new SimMemoryStream(machine, process, call, dice, shape);
    machine.outgoing = this.#stream;
    return this.#stream;
  }

  endMachine(effect: "retire" | "abandon"): void {
    this.options.watch.effect(effect, this.machine);
    this.#quit("gateway");
  }

  /** One call: it travels, acts at the machine, and its answer travels back. */
  readonly call: MachineCall = async (name, act) => {
    const { machine, process, watch } = this.options;
    await process.pause(this.#latencyMs());
    watch.around(machine.site, name, "before");
    if (process.isOver) return await NEVER;
    this.#requireThere();
    const result = await act();
    watch.around(machine.site, name, "after");
    if (process.isOver) return await NEVER;
    await process.pause(this.#latencyMs());
    // An answer whose connection broke is lost, whatever the machine did.
    if (this.#isDetached && !machine.isGone) throw unreachable();
    return result;
  };

  /** Caches are written back, unless the process does not listen and is killed. */
  #quit(cause: "gateway" | "operator"): void {
    this.machine.end(cause, { flushes: this.options.dice.chance(0.5) });
  }

  #requireThere(): void {
    if (this.machine.isGone) throw gone();
    if (this.#isDetached) throw unreachable();
  }

  #hears(event: GuestEvent): void {
    if (this.#isDetached) return;
    const heard = event.kind === "log"
      ? event
      : { ...event, atMs: this.options.process.clock.nowMs() };
    for (const listener of [...this.#listeners]) listener(heard);
  }

  #latencyMs(): number {
    const { dice, latencyMsMax } = this.options;
    return dice.nextRatio() ** 2 * latencyMsMax;
  }
}

function gone(): GatewayError {
  return new GatewayError("guest_gone", "Cannot reach the machine: it has ended", {
    hint: "Look at its own log",
  });
}

export function unreachable(): GatewayError {
  return new GatewayError("guest_unreachable", "Cannot reach the machine: its monitor is lost", {
    hint: "The machine itself may live",
  });
}
