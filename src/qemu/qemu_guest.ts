import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { GuestDefinition } from "../guest/definition.ts";
import type { DirtySample, SampleOptions } from "../guest/dirty_sample.ts";
import type { Guest, GuestDescription, GuestEvent, RunState } from "../guest/guest.ts";
import { ask, statusAnswer } from "./answers.ts";
import { describeMachine, runStateOf } from "./describe.ts";
import { QemuDestination } from "./destination/destination_side.ts";
import { launchedPid, launchOrReattach, launchPaths, stderrTail } from "./launch.ts";
import { Machine } from "./machine.ts";
import { type QmpAddress } from "./qmp/address.ts";
import { withDeadline } from "./qmp/deadline.ts";
import { connectQmp } from "./qmp/client.ts";
import type { QmpEvent } from "./qmp/messages.ts";
import { sampleMachine } from "./sample/sample.ts";
import { QemuSource } from "./source/source_side.ts";

/** QEMU flushes its disks before it exits. */
const END_TIMEOUT_MS = 30_000;
/** A monitor that is stuck answers `quit` no more; a process of the gateway's own is killed then. */
const QUIT_TIMEOUT_MS = 10_000;
/** Between two looks whether a process is gone. */
const POLL_MS = 20;

export type QemuDefinition = Extract<GuestDefinition, { kind: "qemu" }>;

export interface AttachOptions {
  readonly id: string;
  readonly definition: QemuDefinition;
  /** The gateway's own folder; launched machines get one below it. */
  readonly stateDirectory: string;
  readonly clock: Clock;
  /**
   * False where the ledger says that the machine must not be started here (it has moved away, or
   * may run at the peer): a launch definition then only finds one that still runs. Default true.
   */
  readonly mayStart?: boolean;
}

/**
 * Attaches a running QEMU by its monitor, or finds or starts one that the gateway launches.
 *
 * @throws {GatewayError} `address_invalid`, `guest_unreachable`, `guest_launch_failed`,
 * `guest_gone` (a launched machine that does not run and may not be started), `qmp_protocol`
 */
export async function attachQemu(options: AttachOptions): Promise<Guest> {
  const { id, definition, stateDirectory, clock } = options;
  if ("qmp" in definition) {
    const qmp = await connectQmp(definition.qmp, { clock });
    return new QemuGuest(
      new Machine({
        id,
        qmp,
        clock,
        gatewayHost: qmp.address.kind === "tcp" ? definition.data ?? "127.0.0.1" : null,
        processEnded: () => nobodyListens(qmp.address),
        kill: null,
        lastWords: () => Promise.resolve(""),
      }),
    );
  }
  const { qmp } = await launchOrReattach({
    id,
    role: definition.role,
    launch: definition.launch,
    stateDirectory,
    clock,
    mayStart: options.mayStart ?? true,
  });
  const paths = launchPaths(stateDirectory, id);
  return new QemuGuest(
    new Machine({
      id,
      qmp,
      clock,
      gatewayHost: null,
      // Both: a killed process leaves its pid file behind, one that ends by itself removes it first.
      processEnded: async () =>
        await launchedPid(paths) === null && await nobodyListens(qmp.address),
      kill: async () => {
        const pid = await launchedPid(paths);
        if (pid !== null) Deno.kill(pid, "SIGKILL");
        return pid !== null;
      },
      lastWords: () => stderrTail(paths),
    }),
  );
}

/** One QEMU process as the migration actors see it. */
class QemuGuest implements Guest {
  readonly kind = "qemu";
  readonly source: QemuSource;
  readonly destination: QemuDestination;
  readonly #machine: Machine;
  readonly #listeners = new Set<(event: GuestEvent) => void>();
  #gone = false;
  #detached = false;

  constructor(machine: Machine) {
    this.#machine = machine;
    this.source = new QemuSource(machine, () => this.end());
    this.destination = new QemuDestination(machine, () => this.end());
    machine.onEvent((event) => this.#translate(event));
    void machine.closed.then(() => this.#monitorClosed());
  }

  async describe(): Promise<GuestDescription> {
    return await describeMachine(this.#machine);
  }

  async sampleDirtyRate(options: SampleOptions): Promise<DirtySample> {
    return await sampleMachine(this.#machine, options);
  }

  async runState(): Promise<RunState> {
    if (this.#gone) return "gone";
    try {
      return runStateOf((await ask(this.#machine, "query-status", statusAnswer)).status);
    } catch (thrown) {
      if (hasCode(thrown, "guest_gone")) return "gone";
      throw thrown;
    }
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async detach(): Promise<void> {
    this.#detached = true;
    await Promise.all([this.source.disconnect(), this.destination.disconnect()]);
    this.#machine.close();
    await this.#machine.closed;
  }

  async end(): Promise<void> {
    if (this.#machine.ended) return;
    const { clock, closed } = this.#machine;
    const endMs = clock.nowMs() + END_TIMEOUT_MS;
    await this.#machine.execute("quit", {}, { timeoutMs: QUIT_TIMEOUT_MS }).catch(
      async (thrown) => {
        // Its answer may be lost with the process; what counts is that the process goes.
        if (hasCode(thrown, "guest_gone")) return;
        if (!await this.#machine.kill()) throw thrown;
      },
    );
    // QEMU closes its monitor late: looking before would only take a place in its queue.
    await withDeadline(clock, END_TIMEOUT_MS, closed, () => stillThere(this.#machine.id))
      .catch(async (thrown) => {
        if (!await this.#machine.kill()) throw thrown;
      });
    while (!await this.#machine.hasEnded()) {
      if (clock.nowMs() >= endMs && !await this.#machine.kill()) throw stillThere(this.#machine.id);
      await clock.sleep(POLL_MS);
    }
    this.#processGone();
    await this.detach();
  }

  async #monitorClosed(): Promise<void> {
    if (this.#detached || this.#machine.ended) return;
    if (await this.#machine.endsSoon()) this.#processGone();
    else if (!this.#detached) {
      this.#emit({
        kind: "log",
        level: "warn",
        message: `the monitor of "${this.#machine.id}" was lost; the machine itself may live`,
      });
    }
  }

  #translate(event: QmpEvent): void {
    const atMs = this.#machine.clock.nowMs();
    switch (event.name) {
      case "STOP":
        return this.#emit({ kind: "stopped", atMs });
      case "RESUME":
        return this.#emit({ kind: "resumed", atMs });
      case "SHUTDOWN":
        // With -no-shutdown the process would stay; the machine has ended all the same.
        if (event.data.guest === true) this.#emitGone();
        return;
      case "BLOCK_IO_ERROR":
        return this.#emit({
          kind: "log",
          level: "warn",
          message: `disk ${event.data["qom-path"] ?? event.data.device}: ${event.data.reason}`,
        });
    }
  }

  #processGone(): void {
    this.#machine.ended = true;
    this.#emitGone();
  }

  #emitGone(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#emit({
      kind: "gone",
      atMs: this.#machine.clock.nowMs(),
      guestInitiated: this.#machine.guestInitiatedEnd === true,
    });
  }

  #emit(event: GuestEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }
}

/** True when nothing accepts connections there: the process that listened does not exist. */
async function nobodyListens(address: QmpAddress): Promise<boolean> {
  try {
    const conn = address.kind === "unix"
      ? await Deno.connect({ transport: "unix", path: address.path })
      : await Deno.connect({ hostname: address.host, port: address.port });
    conn.close();
    return false;
  } catch (thrown) {
    return thrown instanceof Deno.errors.ConnectionRefused ||
      thrown instanceof Deno.errors.NotFound;
  }
}

function stillThere(id: string): GatewayError {
  return new GatewayError("guest_unreachable", `Cannot end "${id}": its process does not go`, {
    hint: "Look at the storage of its disks: QEMU flushes them first; then end it by hand",
  });
}

function hasCode(thrown: unknown, code: string): boolean {
  return typeof thrown === "object" && thrown !== null && "code" in thrown && thrown.code === code;
}
