import { ERRORS } from "../../core/error_codes.ts";
import { type ErrorCode, GatewayError } from "../../core/errors.ts";
import { closeQuietly, type Head, MessageReader, MessageWriter } from "./messages.ts";
import type { CallName, Params, Result } from "./protocol.ts";

/** What the machine answered to one call. */
export interface Answer<K extends CallName> {
  readonly result: Result<K>;
  readonly body: Uint8Array;
}

interface Waiting {
  resolve(answer: Answer<CallName>): void;
  reject(error: unknown): void;
}

/** Calls over one connection to the machine; any number at a time, answered in any order. */
export class CallChannel {
  readonly #writer: MessageWriter;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #open = true;
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;

  private constructor(
    private readonly connection: Deno.Conn,
    private readonly reader: MessageReader,
    private readonly onEvent: (event: string) => void,
    private readonly lossError: () => Promise<GatewayError>,
  ) {
    this.#writer = new MessageWriter(connection);
    this.closed = this.#read();
  }

  /**
   * Connects, and waits for the machine to say that it is ready.
   *
   * @param lossError asked once when the connection is lost: what calls under way reject with
   * @returns null when nobody listens there
   * @throws {GatewayError} `guest_unreachable` when who listens does not answer
   */
  static async open(
    socketPath: string,
    kind: "control" | "disk",
    onEvent: (event: string) => void,
    lossError: () => Promise<GatewayError>,
    signal: AbortSignal,
  ): Promise<CallChannel | null> {
    const connection = await connectMachine(socketPath);
    if (connection === null) return null;
    const abort = () => closeQuietly(connection);
    signal.addEventListener("abort", abort, { once: true });
    try {
      await new MessageWriter(connection).send({ open: kind });
      const reader = new MessageReader(connection);
      const first = await reader.next();
      if (first?.head.ready === true) {
        return new CallChannel(connection, reader, onEvent, lossError);
      }
    } catch {
      // Broken pipe: it ends just now, which the error below says.
    } finally {
      signal.removeEventListener("abort", abort);
    }
    closeQuietly(connection);
    throw unreachable("its process does not answer on its socket");
  }

  async call<K extends CallName>(
    name: K,
    params: Params<K>,
    body?: Uint8Array,
  ): Promise<Answer<K>> {
    if (!this.#open) throw await this.lossError();
    const id = ++this.#lastId;
    const answered = new Promise<Answer<CallName>>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    // A connection that breaks now is noticed by the reader, which rejects every call.
    this.#writer.send({ id, call: name, params }, ...(body ? [body] : [])).catch(() => {});
    return await answered as Answer<K>;
  }

  close(): void {
    closeQuietly(this.connection);
  }

  async #read(): Promise<void> {
    for (;;) {
      const message = await this.reader.next().catch(() => null);
      if (message === null) break;
      const { head, body } = message;
      if (typeof head.event === "string") this.onEvent(head.event);
      const waiting = this.#waiting.get(head.id as number);
      if (!waiting) continue;
      this.#waiting.delete(head.id as number);
      if (head.error !== undefined) waiting.reject(errorFromHead(head.error));
      else waiting.resolve({ result: head.result as Result<CallName>, body });
    }
    this.#open = false;
    closeQuietly(this.connection);
    if (this.#waiting.size === 0) return;
    const error = await this.lossError();
    for (const waiting of this.#waiting.values()) waiting.reject(error);
    this.#waiting.clear();
  }
}

/** `guest_unreachable`: the connection is lost, the process may live. */
export function unreachable(state: string): GatewayError {
  return new GatewayError("guest_unreachable", `Cannot reach the reference machine: ${state}`, {
    hint: "Attach the guest again; its process may be stopped or very busy",
  });
}

/**
 * Connects to a machine's socket.
 *
 * @returns null when no machine listens there
 */
export async function connectMachine(socketPath: string): Promise<Deno.UnixConn | null> {
  try {
    return await Deno.connect({ transport: "unix", path: socketPath });
  } catch (thrown) {
    const absent = thrown instanceof Deno.errors.NotFound ||
      thrown instanceof Deno.errors.ConnectionRefused;
    if (absent) return null;
    throw thrown;
  }
}

/** The error that the machine put into a message. */
export function errorFromHead(error: unknown): GatewayError {
  const { code, message, hint } = (error ?? {}) as Head;
  const known = typeof code === "string" && Object.hasOwn(ERRORS, code);
  const text = (value: unknown) => typeof value === "string" ? value.slice(0, 1_000) : "?";
  return new GatewayError(known ? code as ErrorCode : "internal", text(message), {
    hint: text(hint),
  });
}
