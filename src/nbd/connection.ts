import { invariant } from "../core/assert.ts";
import { GatewayError } from "../core/errors.ts";
import { addressText, dial, type NbdAddress } from "./address.ts";
import { negotiate, type NegotiatedExport } from "./protocol/client_handshake.ts";
import { COMMAND, MAX_IN_FLIGHT } from "./protocol/constants.ts";
import { Intake, type Parser } from "./protocol/intake.ts";
import { type Command, type Outcome, RequestsInFlight } from "./protocol/requests_in_flight.ts";
import { encodeRequest } from "./protocol/transmission.ts";
import { Slots } from "./slots.ts";
import { SocketWriter } from "./socket_writer.ts";

/** Replies are received in pieces of this size, apart from what goes straight to its place. */
const STAGING_BYTES = 64 * 1024;
/** Rests of a reply from this size on are received where they belong. */
const DIRECT_MIN_BYTES = 64 * 1024;

interface Waiter {
  resolve(outcome: Outcome): void;
  reject(cause: unknown): void;
}

export interface ConnectionOptions {
  readonly address: NbdAddress;
  readonly exportName: string;
  readonly contexts: readonly string[];
  /** Ends connecting and the handshake; without effect afterwards. */
  readonly signal?: AbortSignal;
}

/** Drives the pure client protocol over one socket. */
export class Connection {
  readonly #conn: Deno.Conn;
  readonly #addressText: string;
  readonly #writer: SocketWriter;
  readonly #slots = new Slots(MAX_IN_FLIGHT);
  readonly #reading: Promise<void>;
  #requests: RequestsInFlight<Waiter> | null = null;
  #negotiated: NegotiatedExport | null = null;
  #onReady: () => void = () => {};
  #endedBy: { cause: unknown } | null = null;

  private constructor(conn: Deno.Conn, options: ConnectionOptions) {
    this.#conn = conn;
    this.#addressText = addressText(options.address);
    this.#writer = new SocketWriter(conn, (cause) => this.#end(this.#disconnected(cause)));
    this.#reading = this.#read(new Intake(this.#session(options)));
  }

  static async open(options: ConnectionOptions): Promise<Connection> {
    const { signal } = options;
    signal?.throwIfAborted();
    const dialled = dial(options.address);
    const connection = new Connection(await abortable(dialled, signal), options);
    const onAbort = () => connection.#end(signal?.reason);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted) onAbort();
    try {
      const ready = new Promise<void>((resolve) => connection.#onReady = resolve);
      await Promise.race([ready, connection.#reading]);
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    if (connection.#endedBy) throw connection.#endedBy.cause;
    return connection;
  }

  get negotiated(): NegotiatedExport {
    invariant(this.#negotiated, "an open connection has an export");
    return this.#negotiated;
  }

  /**
   * Sends a command and waits for its outcome; waits first while `MAX_IN_FLIGHT` others are open.
   * Buffers of the command belong to the connection until then.
   *
   * @throws {GatewayError} `nbd_disconnected` or `nbd_protocol` when the connection ended
   */
  async request(command: Command, payload?: Uint8Array): Promise<Outcome> {
    await this.#slots.take();
    return await new Promise((resolve, reject) => {
      if (this.#endedBy) return reject(this.#endedBy.cause);
      invariant(this.#requests, "requests follow the handshake");
      const header = this.#requests.submit(command, { resolve, reject });
      if (payload) this.#writer.send(header, payload);
      else this.#writer.send(header);
    });
  }

  /** Says good-bye when nothing is open, else cuts; open requests are rejected. */
  async close(): Promise<void> {
    if (!this.#endedBy && this.#requests?.count === 0) {
      const type = COMMAND.disconnect;
      const goodBye = { flags: 0, type, cookie: 0n, offsetBytes: 0, lengthBytes: 0 };
      await this.#writer.send(encodeRequest(goodBye));
    }
    this.#end(
      new GatewayError(
        "nbd_disconnected",
        `Cannot use the connection to ${this.#addressText}: it was closed on this side`,
        { hint: "Open a new connection" },
      ),
    );
    await this.#reading;
  }

  *#session(options: ConnectionOptions): Parser {
    const negotiated = yield* negotiate(options, (bytes) => void this.#writer.send(bytes));
    this.#negotiated = negotiated;
    this.#requests = new RequestsInFlight<Waiter>(negotiated, (waiter, outcome) => {
      this.#slots.release();
      waiter.resolve(outcome);
    });
    this.#onReady();
    yield* this.#requests.replies();
  }

  async #read(intake: Intake): Promise<void> {
    const staging = new Uint8Array(STAGING_BYTES);
    try {
      for (;;) {
        const direct = intake.directTarget(DIRECT_MIN_BYTES);
        const receivedBytes = await this.#receive(direct ?? staging);
        if (direct) intake.advance(receivedBytes);
        else intake.feed(staging.subarray(0, receivedBytes));
      }
    } catch (cause) {
      this.#end(cause);
    }
    // Only now can nothing more be received into the buffers of open requests.
    for (const waiter of this.#requests?.abandon() ?? []) waiter.reject(this.#endedBy?.cause);
  }

  async #receive(into: Uint8Array): Promise<number> {
    let receivedBytes: number | null;
    try {
      receivedBytes = await this.#conn.read(into);
    } catch (cause) {
      throw this.#disconnected(cause);
    }
    if (receivedBytes === null) throw this.#disconnected();
    return receivedBytes;
  }

  #end(cause: unknown): void {
    if (this.#endedBy) return;
    this.#endedBy = { cause };
    this.#slots.close(cause);
    this.#conn.close();
  }

  #disconnected(cause?: unknown): GatewayError {
    const reason = cause instanceof Error ? cause.message : "the server closed it";
    return new GatewayError(
      "nbd_disconnected",
      `Cannot go on with the NBD server at ${this.#addressText}: connection lost (${reason})`,
      { hint: "Connect again; writes without a completed flush may be lost", cause },
    );
  }
}

/** A connection that comes after the abort is closed, not leaked. */
function abortable(dialled: Promise<Deno.Conn>, signal?: AbortSignal): Promise<Deno.Conn> {
  if (!signal) return dialled;
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      reject(signal.reason);
      dialled.then((conn) => conn.close(), () => {});
    };
    signal.addEventListener("abort", onAbort, { once: true });
    dialled.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
