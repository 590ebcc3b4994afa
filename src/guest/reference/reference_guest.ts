import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import type { GuestDefinition } from "../definition.ts";
import { type DirtySample, type SampleOptions, windowsMs } from "../dirty_sample.ts";
import type { Guest, GuestDescription, GuestEvent, RunState } from "../guest.ts";
import type { VerifyReport } from "./audit.ts";
import { MachineConnection } from "./machine_connection.ts";
import type { MachineConfiguration } from "./protocol.ts";
import { ReferenceDestination } from "./reference_destination.ts";
import { ReferenceSource } from "./reference_source.ts";

export type { VerifyReport } from "./audit.ts";

const MEBIBYTE = 1024 * 1024;

/** Which machine to attach, and where it lives. */
export interface ReferenceGuestOptions {
  readonly id: string;
  readonly definition: GuestDefinition & { kind: "reference" };
  /** The gateway's; the machine gets a folder of its own below it for socket, log and disks. */
  readonly stateDirectory: string;
  readonly clock: Clock;
  /**
   * False where the machine must not be started at this site (it has moved away): then only one
   * that still runs is attached. Default true.
   */
  readonly mayStart?: boolean;
}

/** The embedded guest: a `Guest` that can also check itself. */
export interface ReferenceGuest extends Guest {
  readonly kind: "reference";
  /** Compares memory, disks and registers with what seed and ticks imply; the machine stands still. */
  verify(): Promise<VerifyReport>;
  /** Ticks run since the machine's first start, at whatever site; null before it has a state. */
  ticks(): Promise<number | null>;
}

/**
 * Attaches the machine of this id, and starts it first if it does not run. A
 * machine of role `source` starts with new disks; an incoming one keeps what images it finds and
 * makes missing ones, sparse.
 *
 * @throws {GatewayError} `guest_launch_failed`, `guest_unreachable`, `guest_gone` (not running, and
 * must not be started), `guest_exists` (it runs with other sizes)
 */
export async function attachReferenceGuest(
  { id, definition, stateDirectory, clock, mayStart = true }: ReferenceGuestOptions,
): Promise<ReferenceGuest> {
  const directory = machineDirectory(stateDirectory, id);
  const configuration = configurationOf(definition, directory);
  const machine = await MachineConnection.attach(
    id,
    directory,
    mayStart ? configuration : null,
    clock,
  );
  const found = await machine.call("describe", {});
  const same = found.memoryBytes === configuration.memoryBytes &&
    JSON.stringify(found.disks) === JSON.stringify(configuration.disks);
  if (!same) {
    await machine.detach();
    throw new GatewayError("guest_exists", `Cannot attach ${id}: it runs with other sizes`, {
      hint: "Detach it with end=true first, or register it as it is",
    });
  }
  return new AttachedReferenceGuest(machine, clock);
}

class AttachedReferenceGuest implements ReferenceGuest {
  readonly kind = "reference";
  readonly source: ReferenceSource;
  readonly destination: ReferenceDestination;

  constructor(private readonly machine: MachineConnection, clock: Clock) {
    const describe = () => this.describe();
    this.source = new ReferenceSource(machine, clock, describe);
    this.destination = new ReferenceDestination(machine, describe);
  }

  async describe(): Promise<GuestDescription> {
    const { protocolVersion, memoryBytes, runState, disks } = await this.machine.call(
      "describe",
      {},
    );
    return {
      kind: "reference",
      version: String(protocolVersion),
      machineType: null,
      cpuModel: null,
      memoryBytes,
      runState,
      disks: disks.map((disk) => ({
        ...disk,
        allocatedBytes: null,
        format: "raw",
        readOnly: false,
      })),
      devices: ["cpu", ...disks.map(({ id }) => id), "ram"].sort(),
      canHoldSwitchover: true,
    };
  }

  /** A watch that nobody waits for any more ends by itself, in the machine. */
  async sampleDirtyRate({ seconds, signal }: SampleOptions): Promise<DirtySample> {
    signal?.throwIfAborted();
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      const call = this.machine.call("sample", { windowsMs: windowsMs(seconds) });
      return await Promise.race([call, aborted.promise]);
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  async runState(): Promise<RunState> {
    try {
      return (await this.machine.call("describe", {})).runState;
    } catch (thrown) {
      if (thrown instanceof GatewayError && thrown.code === "guest_gone") return "gone";
      throw thrown;
    }
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    return this.machine.onEvent(listener);
  }

  async verify(): Promise<VerifyReport> {
    return await this.machine.call("verify", {});
  }

  async ticks(): Promise<number | null> {
    return (await this.machine.call("describe", {})).ticks;
  }

  async detach(): Promise<void> {
    await this.#letGo();
    await this.machine.detach();
  }

  async end(): Promise<void> {
    await this.machine.end();
    await this.#letGo();
    await this.machine.detach();
  }

  async #letGo(): Promise<void> {
    this.source.letGo();
    await this.destination.letGo();
  }
}

/** The folder of one machine. */
export function machineDirectory(stateDirectory: string, id: string): string {
  return `${stateDirectory}/reference/${encodeURIComponent(id).replaceAll(".", "%2E")}`;
}

function configurationOf(
  { role, memoryMiB, disks, workload }: ReferenceGuestOptions["definition"],
  directory: string,
): MachineConfiguration {
  return {
    role,
    memoryBytes: memoryMiB * MEBIBYTE,
    disks: disks.map(({ sizeMiB }, number) => ({
      id: `disk${number}`,
      path: `${directory}/disk${number}.raw`,
      sizeBytes: sizeMiB * MEBIBYTE,
    })),
    workload,
  };
}
