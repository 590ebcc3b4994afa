import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/errors.ts";
import { formatQmpAddress, parseQmpAddress, type QmpAddress } from "./address.ts";
import { withDeadline } from "./deadline.ts";
import { LineDecoder } from "./line_decoder.ts";
import { parseQmpMessage, type QmpEvent, qmpProtocolError } from "./messages.ts";

/** A monitor that is held by another client accepts the connection and says nothing. */
export const GREETING_TIMEOUT_MS = 5_000;
/** QEMU's main loop stands still while it flushes disks; longer than that is a hang. */
export const COMMAND_TIMEOUT_MS = 60_000;
const DIAL_RETRY_MS = 20;
const READ_BUFFER_BYTES = 64 * 1024;

/**
 * One event for each pass over the memory: an idle machine that is held makes tens of thousands a
 * second. Nobody here needs them, so they are dropped before they cost a JSON parse.
 */
const DROPPED_EVENT = '"event": "MIGRATION_PASS"';

/** QEMU's own refusal of a command, with its words. */
export class QmpCommandError extends GatewayError {
  constructor(
    readonly command: string,
    readonly errorClass: string,
    readonly description: string,
  ) {
    super("qmp_command_failed", `Cannot execute ${command}: ${description}`, {
      hint: "QEMU refused this itself; its log may tell more",
    });
  }
}

export interface QmpOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
  readonly greetingTimeoutMs?: number;
}

/** A monitor connection after its handshake. Commands may overlap; QEMU answers them in order. */
export interface QmpClient {
  readonly address: QmpAddress;
  /** Numeric address of the other end; null for a unix socket. */
  readonly peerHost: string | null;
  /** QEMU's version, such as `10.0.2`. */
  readonly version: string;
  /**
   * @throws {QmpCommandError} when QEMU refuses
   * @throws {GatewayError} `guest_unreachable` when the connection is lost or silent
   */
  execute(
    command: string,
    args?: Record<string, unknown>,
    options?: { readonly timeoutMs?: number },
  ): Promise<unknown>;
  /** Calls `listener` for each event (except MIGRATION_PASS) until the returned function is called. */
  onEvent(listener: (event: QmpEvent) => void): () => void;
  /** Resolves once the connection has ended, with its cause; null after `close`. */
  readonly closed: Promise<GatewayError | null>;
  close(): void;
}

/**
 * Connects, reads the greeting and negotiates capabilities.
 *
 * A monitor serves one client at a time: give the gateway one of its own.
 *
 * @throws {GatewayError} `address_invalid`, `guest_unreachable`, `qmp_protocol`
 */
export async function connectQmp(
  address: QmpAddress | string,
  options: QmpOptions,
): Promise<QmpClient> {
  const target = typeof address === "string" ? parseQmpAddress(address) : address;
  const name = formatQmpAddress(target);
  options.signal?.throwIfAborted();
  const timeoutMs = options.greetingTimeoutMs ?? GREETING_TIMEOUT_MS;
  const endMs = options.clock.nowMs() + timeoutMs;
  const conn = await dial(target, options.clock, endMs);
  const session = new Session(conn, target, options.clock);
  const onAbort = () => session.close();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    await withDeadline(
      options.clock,
      Math.max(1, endMs - options.clock.nowMs()),
      session.handshake(),
      () => unreachable(`${name} accepts but does not greet; another client may hold it`),
    );
    return session;
  } catch (thrown) {
    session.close();
    options.signal?.throwIfAborted();
    throw thrown;
  } finally {
    options.signal?.removeEventListener("abort", onAbort);
  }
}

/**
 * QEMU's queue for connections holds one. A client that has left stays in it until QEMU's main loop
 * comes round, and the kernel answers EAGAIN instead of waiting.
 */
async function dial(target: QmpAddress, clock: Clock, endMs: number): Promise<Deno.Conn> {
  for (;;) {
    try {
      return target.kind === "unix"
        ? await Deno.connect({ transport: "unix", path: target.path })
        : await Deno.connect({ hostname: target.host, port: target.port });
    } catch (cause) {
      if (!(cause instanceof Deno.errors.WouldBlock) || clock.nowMs() >= endMs) {
        throw unreachable(`cannot connect to ${formatQmpAddress(target)}`, cause);
      }
      await clock.sleep(DIAL_RETRY_MS);
    }
  }
}

interface Pending {
  readonly command: string;
  resolve(value: unknown): void;
  reject(error: Error): void;
}

class Session implements QmpClient {
  version = "";
  readonly closed: Promise<GatewayError | null>;
  readonly peerHost: string | null;
  readonly #conn: Deno.Conn;
  readonly #clock: Clock;
  readonly #pending = new Map<number, Pending>();
  readonly #listeners = new Set<(event: QmpEvent) => void>();
  readonly #greeting = Promise.withResolvers<void>();
  readonly #encoder = new TextEncoder();
  #nextId = 1;
  #ended: GatewayError | null | undefined;
  #writes: Promise<void> = Promise.resolve();

  constructor(conn: Deno.Conn, readonly address: QmpAddress, clock: Clock) {
    this.#conn = conn;
    this.peerHost = "hostname" in conn.remoteAddr ? conn.remoteAddr.hostname : null;
    this.#clock = clock;
    // Nobody may be waiting for it when the connection ends before the handshake began.
    this.#greeting.promise.catch(() => {});
    this.closed = this.#readAll();
  }

  async handshake(): Promise<void> {
    await this.#greeting.promise;
    await this.execute("qmp_capabilities");
  }

  execute(
    command: string,
    args?: Record<string, unknown>,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<unknown> {
    if (this.#ended !== undefined) return Promise.reject(this.#lost());
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pending.set(id, { command, resolve, reject });
    const line = this.#encoder.encode(
      JSON.stringify({ execute: command, arguments: args, id }) + "\n",
    );
    // One after the other: a short write of one command must not be torn by the next.
    this.#writes = this.#writes.then(() => this.#write(line)).catch((cause) => {
      this.#end(unreachable(`writing to ${formatQmpAddress(this.address)} failed`, cause));
    });
    const timeoutMs = options.timeoutMs ?? COMMAND_TIMEOUT_MS;
    return withDeadline(
      this.#clock,
      timeoutMs,
      promise,
      () => unreachable(`${command} was not answered within ${timeoutMs} ms`),
    ).finally(() => this.#pending.delete(id));
  }

  onEvent(listener: (event: QmpEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#end(null);
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }

  async #readAll(): Promise<GatewayError | null> {
    const buffer = new Uint8Array(READ_BUFFER_BYTES);
    const decoder = new LineDecoder();
    try {
      for (;;) {
        const count = await this.#conn.read(buffer);
        if (count === null) break;
        for (const line of decoder.push(buffer.subarray(0, count))) this.#handle(line);
      }
      this.#end(unreachable(`${formatQmpAddress(this.address)} closed the connection`));
    } catch (cause) {
      this.#end(
        cause instanceof GatewayError
          ? cause
          : unreachable(`reading from ${formatQmpAddress(this.address)} failed`, cause),
      );
    }
    return this.#ended ?? null;
  }

  #handle(line: string): void {
    if (line.includes(DROPPED_EVENT)) return;
    const message = parseQmpMessage(line);
    if (message.kind === "event") {
      for (const listener of [...this.#listeners]) listener(message.event);
    } else if (message.kind === "greeting") {
      this.version = message.version;
      this.#greeting.resolve();
    } else {
      const pending = message.id === null ? undefined : this.#pending.get(message.id);
      if (message.kind === "error" && message.id === null) {
        throw qmpProtocolError(`an error belongs to no command: ${message.description}`);
      }
      if (!pending) return;
      if (message.kind === "return") pending.resolve(message.value);
      else {
        pending.reject(
          new QmpCommandError(pending.command, message.errorClass, message.description),
        );
      }
    }
  }

  #end(cause: GatewayError | null): void {
    if (this.#ended !== undefined) return;
    this.#ended = cause;
    try {
      this.#conn.close();
    } catch {
      // It was closed by the other side already.
    }
    this.#greeting.reject(this.#lost());
    for (const pending of this.#pending.values()) pending.reject(this.#lost());
    this.#pending.clear();
  }

  #lost(): GatewayError {
    return this.#ended ??
      unreachable(`the connection to ${formatQmpAddress(this.address)} was closed here`);
  }
}

function unreachable(state: string, cause?: unknown): GatewayError {
  const detail = cause instanceof Error ? ` (${cause.message})` : "";
  return new GatewayError("guest_unreachable", `Cannot reach the machine: ${state}${detail}`, {
    hint: "Check that QEMU runs, and that this -qmp socket belongs to the gateway alone",
    cause,
  });
}
