import { GatewayError } from "../../core/errors.ts";

/** JSON part of a message. */
export type Head = Record<string, unknown>;

/** One message as it was read. */
export interface Message {
  readonly head: Head;
  /** A buffer of its own, aligned for any typed array; may be kept. */
  readonly body: Uint8Array;
}

const PREFIX_BYTES = 8;
export const HEAD_BYTES_MAX = 1024 * 1024;
export const BODY_BYTES_MAX = 64 * 1024 * 1024;
/** Parts of a body up to this size leave in one write with the head, those before a longer one. */
const JOINED_PART_BYTES_MAX = 16 * 1024;
const READ_BYTES = 64 * 1024;
const NO_BODY = new Uint8Array(0);
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/**
 * Writes messages to a connection, each whole and in the order of the calls.
 *
 * Layout, little-endian: u32 bytes of head, u32 bytes of body, head (UTF-8 JSON object), body (raw).
 */
export class MessageWriter {
  #last: Promise<void> = Promise.resolve();

  constructor(private readonly connection: Deno.Conn) {}

  /**
   * Resolves when the socket has accepted all of it.
   *
   * @param body its parts, one after the other; they must not change before
   */
  send(head: Head, ...body: readonly Uint8Array[]): Promise<void> {
    const sent = this.#last.then(() => this.#write(head, body));
    this.#last = sent.catch(() => {});
    return sent;
  }

  async #write(head: Head, body: readonly Uint8Array[]): Promise<void> {
    const headBytes = encoder.encode(JSON.stringify(head));
    const bodyBytes = lengthOf(body);
    if (headBytes.length > HEAD_BYTES_MAX || bodyBytes > BODY_BYTES_MAX) {
      throw new RangeError(`message of ${headBytes.length} + ${bodyBytes} bytes is too long`);
    }
    const long = body.findIndex((part) => part.length > JOINED_PART_BYTES_MAX);
    const joined = long < 0 ? body : body.slice(0, long);
    const first = new Uint8Array(PREFIX_BYTES + headBytes.length + lengthOf(joined));
    const view = new DataView(first.buffer);
    view.setUint32(0, headBytes.length, true);
    view.setUint32(4, bodyBytes, true);
    let at = PREFIX_BYTES;
    for (const part of [headBytes, ...joined]) {
      first.set(part, at);
      at += part.length;
    }
    await this.#writeAll(first);
    for (const part of body.slice(joined.length)) await this.#writeAll(part);
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      done += await this.connection.write(bytes.subarray(done));
    }
  }
}

/** Reads messages from a connection; large bodies go straight into their own buffer. */
export class MessageReader {
  readonly #buffer = new Uint8Array(READ_BYTES);
  #start = 0;
  #end = 0;

  constructor(private readonly connection: Deno.Conn) {}

  /**
   * @param bodyBytesMax what a body may have here; checked before anything is allocated
   * @returns null when the connection has ended, cleanly or not: ends that matter are messages
   * @throws {GatewayError} `frame_too_long`, `frame_invalid`
   */
  async next(bodyBytesMax = BODY_BYTES_MAX): Promise<Message | null> {
    const prefix = new Uint8Array(PREFIX_BYTES);
    if (!await this.#fill(prefix)) return null;
    const view = new DataView(prefix.buffer);
    const headBytes = view.getUint32(0, true);
    const bodyBytes = view.getUint32(4, true);
    if (headBytes > HEAD_BYTES_MAX || bodyBytes > bodyBytesMax) {
      throw new GatewayError(
        "frame_too_long",
        `Cannot read a message of the machine: it announces ${headBytes} + ${bodyBytes} bytes`,
        { hint: "Check that gateway and machine are of the same version" },
      );
    }
    const head = new Uint8Array(headBytes);
    const body = bodyBytes === 0 ? NO_BODY : new Uint8Array(bodyBytes);
    if (!await this.#fill(head) || !await this.#fill(body)) return null;
    return { head: parseHead(head), body };
  }

  async #fill(into: Uint8Array): Promise<boolean> {
    let done = Math.min(into.length, this.#end - this.#start);
    into.set(this.#buffer.subarray(this.#start, this.#start + done));
    this.#start += done;
    while (done < into.length) {
      const missing = into.length - done;
      const direct = missing >= READ_BYTES;
      const got = await this.#read(direct ? into.subarray(done) : this.#buffer);
      if (got === null) return false;
      if (direct) done += got;
      else {
        const used = Math.min(got, missing);
        into.set(this.#buffer.subarray(0, used), done);
        this.#start = used;
        this.#end = got;
        done += used;
      }
    }
    return true;
  }

  async #read(into: Uint8Array): Promise<number | null> {
    try {
      return await this.connection.read(into);
    } catch {
      // Reset by the other end, or closed by this one: over either way.
      return null;
    }
  }
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

function parseHead(bytes: Uint8Array): Head {
  let head: unknown;
  try {
    head = JSON.parse(decoder.decode(bytes));
  } catch (cause) {
    throw invalidHead(cause);
  }
  if (typeof head !== "object" || head === null || Array.isArray(head)) throw invalidHead();
  return head as Head;
}

/** A number of a head; not a number where it has none. */
export function numberIn(head: Head, name: string): number {
  const value = head[name];
  return typeof value === "number" ? value : NaN;
}

function invalidHead(cause?: unknown): GatewayError {
  return new GatewayError("frame_invalid", "Cannot read a message of the machine: no JSON object", {
    hint: "Check that gateway and machine are of the same version",
    cause,
  });
}

/** Closes a connection that may be closed already. */
export function closeQuietly(connection: { close(): void }): void {
  try {
    connection.close();
  } catch {
    // It was closed before.
  }
}
