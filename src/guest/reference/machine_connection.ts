import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import type { GuestEvent } from "../guest.ts";
import { type Answer, CallChannel, connectMachine, unreachable } from "./call_channel.ts";
import { launchMachine, socketPathOf } from "./launch.ts";
import type { CallName, MachineConfiguration, Params, Result } from "./protocol.ts";

/** The machine answers at once, except to calls that wait for something. */
const CALL_MS = 30_000;
const PATIENT: ReadonlySet<CallName> = new Set(
  [
    "disksSeal",
    "diskFlush",
    "memoryGate",
    "memoryFinish",
    "memoryReset",
    "sample",
    "verify",
  ] as const,
);
const READY_MS = 10_000;
const PROBES_MAX = 50;
const PROBE_PAUSE_MS = 20;
const QUIT_MS = 5_000;

/** The gateway's connections to one machine process, and what it knows about that process. */
export class MachineConnection {
  #control: CallChannel | null = null;
  #disk: Promise<CallChannel> | null = null;
  #pid = 0;
  #state: "attached" | "detached" | "gone" = "attached";
  #probing: Promise<GatewayError> | null = null;
  readonly #listeners = new Set<(event: GuestEvent) => void>();

  private constructor(
    private readonly id: string,
    private readonly socketPath: string,
    private readonly clock: Clock,
  ) {}

  /**
   * Connects to the machine whose state directory this is; starts it if it does not run and there
   * is a configuration to start it with.
   *
   * @throws {GatewayError} `guest_gone`, `guest_launch_failed`, `guest_unreachable`
   */
  static async attach(
    id: string,
    stateDirectory: string,
    configuration: MachineConfiguration | null,
    clock: Clock,
  ): Promise<MachineConnection> {
    const machine = new MachineConnection(id, socketPathOf(stateDirectory), clock);
    if (!await machine.#find()) {
      if (configuration === null) throw machine.#goneError();
      const patience = READY_MS + configuration.memoryBytes / 2 ** 30 * 5_000;
      await launchMachine(
        stateDirectory,
        configuration,
        clock,
        () => machine.#connect(patience).then((found) => found || null, () => null),
      );
    }
    return machine;
  }

  onEvent(listener: (event: GuestEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async call<K extends CallName>(name: K, params: Params<K>): Promise<Result<K>> {
    return (await this.callWithBody(name, params)).result;
  }

  /** As `call`, with bytes to send and with those of the answer. */
  async callWithBody<K extends CallName>(
    name: K,
    params: Params<K>,
    body?: Uint8Array,
  ): Promise<Answer<K>> {
    const channel = await this.#channelFor(name);
    const answer = channel.call(name, params, body);
    if (PATIENT.has(name)) return await answer;
    const limit = new AbortController();
    const late = this.clock.sleep(CALL_MS, limit.signal).then(() => {
      throw unreachable(`it has not answered ${name} for ${CALL_MS} ms`);
    });
    late.catch(() => {});
    try {
      return await Promise.race([answer, late]);
    } finally {
      limit.abort();
      answer.catch(() => {});
    }
  }

  /** A connection of its own for a memory stream. */
  async openStream(): Promise<Deno.UnixConn> {
    const connection = this.#state === "attached" ? await connectMachine(this.socketPath) : null;
    if (connection !== null) return connection;
    throw await this.lossError();
  }

  /** What the loss of a connection means: the machine has ended, or only the connection has. */
  lossError(): Promise<GatewayError> {
    if (this.#state === "gone") return Promise.resolve(this.#goneError());
    if (this.#state === "detached") return Promise.resolve(unreachable("it was detached"));
    this.#probing ??= this.#probe().finally(() => this.#probing = null);
    return this.#probing;
  }

  async detach(): Promise<void> {
    if (this.#state === "attached") this.#state = "detached";
    this.#listeners.clear();
    this.#control?.close();
    const disk = await this.#disk?.catch(() => null);
    disk?.close();
    await Promise.all([this.#control?.closed, disk?.closed]);
  }

  /** Ends the process and waits until it is gone. */
  async end(): Promise<void> {
    if (this.#state === "gone") return;
    void this.call("quit", {}).catch(() => {});
    if (await this.#goneWithin(QUIT_MS)) return;
    try {
      // It is stopped or stuck: its socket still listens, so the process id is still its own.
      if (this.#pid > 1) Deno.kill(this.#pid, "SIGKILL");
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound)) {
        throw unreachable(`process ${this.#pid} does not end and may not be killed`);
      }
    }
    if (await this.#goneWithin(QUIT_MS)) return;
    throw unreachable(`process ${this.#pid} does not end`);
  }

  /** @returns false when nobody listens there */
  async #connect(patienceMs: number): Promise<boolean> {
    const limit = new AbortController();
    const waiting = new AbortController();
    void this.clock.sleep(patienceMs, waiting.signal).then(() => limit.abort(), () => {});
    try {
      const control = await CallChannel.open(
        this.socketPath,
        "control",
        (event) => this.#heard(event),
        () => this.lossError(),
        limit.signal,
      );
      if (control === null) return false;
      this.#control = control;
      this.#pid = (await control.call("describe", {})).result.pid;
      void control.closed.then(() => {
        if (this.#state === "attached" && this.#control === control) void this.lossError();
      });
      return true;
    } finally {
      waiting.abort();
    }
  }

  /**
   * Looks whether the machine is there. One that ends just now may still accept a connection, and
   * drops it: then the answer is found by looking again.
   *
   * @throws {GatewayError} `guest_unreachable` when it accepts and never answers
   */
  async #find(): Promise<boolean> {
    for (let probe = 1;; probe++) {
      try {
        return await this.#connect(READY_MS);
      } catch (thrown) {
        if (probe >= PROBES_MAX) throw thrown;
        await this.clock.sleep(PROBE_PAUSE_MS);
      }
    }
  }

  async #probe(): Promise<GatewayError> {
    try {
      if (await this.#find()) return unreachable("the connection was lost");
    } catch (thrown) {
      if (thrown instanceof GatewayError) return thrown;
      throw thrown;
    }
    if (this.#state === "attached") {
      this.#state = "gone";
      this.#emit({ kind: "gone", atMs: this.clock.nowMs(), guestInitiated: false });
    }
    return this.#goneError();
  }

  async #goneWithin(limitMs: number): Promise<boolean> {
    const untilMs = this.clock.nowMs() + limitMs;
    while (this.clock.nowMs() < untilMs) {
      const connection = await connectMachine(this.socketPath).catch(() => null);
      if (connection === null) {
        if (this.#state === "attached") await this.lossError();
        return true;
      }
      connection.close();
      await this.clock.sleep(PROBE_PAUSE_MS);
    }
    return false;
  }

  async #channelFor(name: CallName): Promise<CallChannel> {
    if (this.#state !== "attached" || this.#control === null) throw await this.lossError();
    if (!name.startsWith("disk")) return this.#control;
    this.#disk ??= this.#openDisk();
    return await this.#disk;
  }

  async #openDisk(): Promise<CallChannel> {
    try {
      const channel = await CallChannel.open(
        this.socketPath,
        "disk",
        () => {},
        () => this.lossError(),
        AbortSignal.timeout(READY_MS),
      );
      if (channel === null) throw await this.lossError();
      void channel.closed.then(() => this.#disk = null);
      return channel;
    } catch {
      this.#disk = null;
      // One that ends just now accepts and drops: only another look tells which it is.
      throw await this.lossError();
    }
  }

  #heard(event: string): void {
    if (event !== "stopped" && event !== "resumed") return;
    this.#emit({ kind: event, atMs: this.clock.nowMs() });
  }

  #emit(event: GuestEvent): void {
    for (const listener of [...this.#listeners]) listener(event);
  }

  #goneError(): GatewayError {
    return new GatewayError("guest_gone", `Cannot reach guest ${this.id}: its process has ended`, {
      hint: "Register the guest again to start it afresh",
    });
  }
}
