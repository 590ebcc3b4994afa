import type { Extent } from "../core/extents.ts";
import { invariant } from "../core/assert.ts";
import { failureOf, type NbdBackend } from "./backend.ts";
import type { Status } from "./protocol/block_status.ts";
import { ALLOCATION, COMMAND, COMMAND_FLAG, MAX_IN_FLIGHT } from "./protocol/constants.ts";
import { Intake, type Parser } from "./protocol/intake.ts";
import { accept, type AcceptedExport, type ServedExport } from "./protocol/server_handshake.ts";
import {
  doneReply,
  failureReply,
  type ReadPiece,
  readReply,
  simpleReadReply,
  statusReply,
} from "./protocol/server_replies.ts";
import { receiveRequests, type ServerRequest } from "./protocol/server_requests.ts";
import { SocketWriter } from "./socket_writer.ts";

const STAGING_BYTES = 64 * 1024;
const DIRECT_MIN_BYTES = 64 * 1024;
/** Payload of all requests that one client has open; one larger than that is worked on alone. */
const MAX_OPEN_PAYLOAD_BYTES = 64 * 1024 * 1024;

/** Extents of one block status reply (1 MiB of payload, as QEMU does it); the client asks on. */
const MAX_ANSWERED_EXTENTS = 128 * 1024;

export interface ServerConnectionOptions {
  readonly exports: readonly ServedExport[];
  backendOf(served: ServedExport): NbdBackend;
  /** Sends zero parts of a read as hole chunks. */
  readonly sparseReads: boolean;
}

/** Serves one client until it leaves, breaks the protocol or its socket is closed. */
export class ServerConnection {
  readonly #conn: Deno.Conn;
  readonly #options: ServerConnectionOptions;
  readonly #writer: SocketWriter;
  readonly #running = new Set<Promise<void>>();
  #arrived: ServerRequest[] = [];
  #accepted: AcceptedExport | null = null;
  #backend: NbdBackend | null = null;
  #openPayloadBytes = 0;
  #closed = false;

  constructor(conn: Deno.Conn, options: ServerConnectionOptions) {
    this.#conn = conn;
    this.#options = options;
    this.#writer = new SocketWriter(conn, () => this.close());
  }

  /** Never throws: what a client does wrong concerns only its own connection. */
  async serve(): Promise<void> {
    const staging = new Uint8Array(STAGING_BYTES);
    try {
      const intake = new Intake(this.#session());
      while (!intake.ended) {
        const direct = intake.directTarget(DIRECT_MIN_BYTES);
        const receivedBytes = await this.#conn.read(direct ?? staging);
        if (receivedBytes === null) break;
        if (direct) intake.advance(receivedBytes);
        else intake.feed(staging.subarray(0, receivedBytes));
        // A client that goes on to ask without taking the answers is not read on.
        if (this.#accepted === null) await this.#writer.send();
        await this.#startArrived();
      }
    } catch {
      // The client sent nonsense or its socket was closed; either way it is over.
    }
    await Promise.all(this.#running);
    await this.#writer.send();
    this.close();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#conn.close();
  }

  *#session(): Parser {
    const send = (bytes: Uint8Array) => void this.#writer.send(bytes);
    const accepted = yield* accept(this.#options.exports, send);
    if (!accepted) return;
    this.#accepted = accepted;
    this.#backend = this.#options.backendOf(accepted.served);
    yield* receiveRequests(accepted, (request) => this.#arrived.push(request));
  }

  /** Starts what has arrived, in order; not reading on is what holds back a greedy client. */
  async #startArrived(): Promise<void> {
    const arrived = this.#arrived;
    this.#arrived = [];
    for (const request of arrived) {
      const { type, lengthBytes } = request.header;
      const carriesData = type === COMMAND.read || type === COMMAND.write;
      const payloadBytes = request.errno === 0 && carriesData ? lengthBytes : 0;
      while (
        this.#running.size >= MAX_IN_FLIGHT ||
        (this.#running.size > 0 &&
          this.#openPayloadBytes + payloadBytes > MAX_OPEN_PAYLOAD_BYTES)
      ) await Promise.race(this.#running);
      this.#openPayloadBytes += payloadBytes;
      const running = this.#answer(request).finally(() => {
        this.#openPayloadBytes -= payloadBytes;
        this.#running.delete(running);
      });
      this.#running.add(running);
    }
  }

  async #answer(request: ServerRequest): Promise<void> {
    const { header, errno } = request;
    const structured = this.#accepted?.structured ?? false;
    let reply: Uint8Array[];
    try {
      reply = errno === 0
        ? await this.#carryOut(request)
        : failureReply(header, errno, "", structured);
    } catch (cause) {
      const failure = failureOf(cause);
      reply = failureReply(header, failure.errno, failure.message, structured);
    }
    await this.#writer.send(...reply);
  }

  async #carryOut({ header, payload }: ServerRequest): Promise<Uint8Array[]> {
    const backend = this.#backend;
    invariant(backend, "requests follow the handshake");
    const { type, flags, offsetBytes, lengthBytes } = header;
    if (type === COMMAND.read) return await this.#read(header, backend);
    if (type === COMMAND.blockStatus) {
      invariant(backend.status, "only an export with status has base:allocation");
      const extents = await backend.status(offsetBytes, lengthBytes);
      const only = (flags & COMMAND_FLAG.reqOne) !== 0 ? 1 : MAX_ANSWERED_EXTENTS;
      return statusReply(header, extents.slice(0, only).map(statusOf));
    }
    if (type === COMMAND.write && lengthBytes > 0) await backend.write(offsetBytes, payload);
    if (type === COMMAND.writeZeroes && lengthBytes > 0) {
      const noHole = (flags & COMMAND_FLAG.noHole) !== 0;
      await backend.zero(offsetBytes, lengthBytes, { noHole });
    }
    if (type === COMMAND.flush || (flags & COMMAND_FLAG.fua) !== 0) await backend.flush();
    return doneReply(header);
  }

  async #read(header: ServerRequest["header"], backend: NbdBackend): Promise<Uint8Array[]> {
    const { offsetBytes, lengthBytes, flags } = header;
    const whole: Extent = { offsetBytes, lengthBytes, kind: "data" };
    if (!this.#accepted?.structured) {
      const bytes = new Uint8Array(lengthBytes);
      if (lengthBytes > 0) await backend.read(offsetBytes, bytes);
      return simpleReadReply(header, bytes);
    }
    if (lengthBytes === 0) return readReply(header, []);
    const inOnePiece = !this.#options.sparseReads || (flags & COMMAND_FLAG.doNotFragment) !== 0;
    const extents = inOnePiece || !backend.status
      ? [whole]
      : coverRest(await backend.status(offsetBytes, lengthBytes), whole);
    const pieces = await Promise.all(extents.map(async (extent): Promise<ReadPiece> => {
      if (extent.kind === "zero") return { ...extent, kind: "zero" };
      const bytes = new Uint8Array(extent.lengthBytes);
      await backend.read(extent.offsetBytes, bytes);
      return { kind: "data", offsetBytes: extent.offsetBytes, bytes };
    }));
    return readReply(header, pieces);
  }
}

function statusOf({ offsetBytes, lengthBytes, kind }: Extent): Status {
  const flags = kind === "zero" ? ALLOCATION.hole | ALLOCATION.zero : 0;
  return { offsetBytes, lengthBytes, flags };
}

/** What a status that ended early did not describe is data. */
function coverRest(extents: Extent[], whole: Extent): Extent[] {
  const last = extents.at(-1);
  const at = last ? last.offsetBytes + last.lengthBytes : whole.offsetBytes;
  const end = whole.offsetBytes + whole.lengthBytes;
  if (at < end) extents.push({ offsetBytes: at, lengthBytes: end - at, kind: "data" });
  return extents;
}
