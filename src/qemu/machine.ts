import type { Clock } from "../core/clock.ts";
import { GatewayError, toGatewayError } from "../core/errors.ts";
import { isRecord, type QmpEvent } from "./qmp/messages.ts";
import type { QmpClient } from "./qmp/client.ts";

/** A killed process closes its sockets one after the other; this long the last one may take. */
const ENDING_MS = 500;

/** Failures that a machine's end can be the real cause of. */
const SYMPTOMS: ReadonlySet<string> = new Set([
  "guest_unreachable",
  "nbd_disconnected",
  "memory_stream_failed",
  "memory_load_failed",
]);

export interface MachineOptions {
  readonly id: string;
  readonly qmp: QmpClient;
  readonly clock: Clock;
  /** Where QEMU reaches this gateway when it runs on another host; null on this one. */
  readonly gatewayHost: string | null;
  /** True once the process is known not to exist any more. */
  readonly processEnded: () => Promise<boolean>;
  /** Ends the process without asking; null where it is not ours, resolves false where it is gone. */
  readonly kill: (() => Promise<boolean>) | null;
  /** What the process wrote last, for the message about its end; empty where unknown. */
  readonly lastWords: () => Promise<string>;
}

/** A QEMU process behind its monitor: what every part of the driver works with. */
export class Machine implements QmpClient {
  readonly id: string;
  readonly clock: Clock;
  readonly gatewayHost: string | null;
  readonly #options: MachineOptions;
  #letGo = false;
  /** Set once its end is known, however it became known. */
  ended = false;
  /** What QEMU said about its own end: true when the guest powered itself off. */
  guestInitiatedEnd: boolean | null = null;

  constructor(options: MachineOptions) {
    this.#options = options;
    this.id = options.id;
    this.clock = options.clock;
    this.gatewayHost = options.gatewayHost;
    options.qmp.onEvent((event) => {
      if (event.name === "SHUTDOWN") this.guestInitiatedEnd = event.data.guest === true;
    });
  }

  get address() {
    return this.#options.qmp.address;
  }

  get peerHost(): string | null {
    return this.#options.qmp.peerHost;
  }

  get version(): string {
    return this.#options.qmp.version;
  }

  get closed(): Promise<GatewayError | null> {
    return this.#options.qmp.closed;
  }

  /** Like the client's, but a lost connection to a process that has ended is `guest_gone`. */
  async execute(
    command: string,
    args?: Record<string, unknown>,
    options?: { readonly timeoutMs?: number },
  ): Promise<unknown> {
    try {
      return await this.#options.qmp.execute(command, args, options);
    } catch (thrown) {
      throw await this.explain(thrown);
    }
  }

  onEvent(listener: (event: QmpEvent) => void): () => void {
    return this.#options.qmp.onEvent(listener);
  }

  close(): void {
    this.#letGo = true;
    this.#options.qmp.close();
  }

  /** Finds the real cause of a failure: `guest_gone` when the process behind the symptom ended. */
  async explain(thrown: unknown): Promise<Error> {
    if (!(thrown instanceof GatewayError)) {
      return thrown instanceof Error ? thrown : toGatewayError(thrown);
    }
    if (!SYMPTOMS.has(thrown.code) || !await this.endsSoon()) return thrown;
    return await this.goneError(thrown);
  }

  /** Whether the process does not exist any more. */
  hasEnded(): Promise<boolean> {
    return this.#options.processEnded();
  }

  /** True when the process has ended or is about to: its monitor is dead and it goes within ms. */
  async endsSoon(): Promise<boolean> {
    if (this.ended) return true;
    const endMs = this.clock.nowMs() + ENDING_MS;
    // Let go by us, it says nothing about the process, and looking would disturb who comes next.
    while (!this.#letGo) {
      // Its monitor answers: it lives. Asked first, because looking takes a place in its queue.
      if (await this.#answers()) return false;
      if (await this.hasEnded()) return true;
      if (this.clock.nowMs() >= endMs) return false;
      await this.clock.sleep(20);
    }
    return false;
  }

  /** Ends the process without asking it; false where it is not the gateway's to kill. */
  async kill(): Promise<boolean> {
    return await this.#options.kill?.() ?? false;
  }

  /** What the process wrote last; empty where that is not known. */
  lastWords(): Promise<string> {
    return this.#options.lastWords();
  }

  async goneError(cause?: unknown): Promise<GatewayError> {
    const lastWords = await this.lastWords();
    const how = this.guestInitiatedEnd ? "it powered itself off" : "its process has ended";
    return new GatewayError(
      "guest_gone",
      `Cannot reach the machine "${this.id}": ${how}${lastWords ? `: ${lastWords}` : ""}`,
      { hint: "Look at the machine's own log; register it again to start it", cause },
    );
  }

  async #answers(): Promise<boolean> {
    try {
      return isRecord(await this.#options.qmp.execute("query-status", {}, { timeoutMs: 1_000 }));
    } catch {
      return false;
    }
  }
}
