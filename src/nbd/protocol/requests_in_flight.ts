import { invariant } from "../../core/assert.ts";
import { decodeStatusPayload, MAX_STATUS_CHUNK_BYTES, type Status } from "./block_status.ts";
import { Fields } from "./bytes.ts";
import {
  CHUNK,
  CHUNK_FLAG_DONE,
  COMMAND,
  MAX_ERROR_CHUNK_BYTES,
  MAX_REQUEST_LENGTH_BYTES,
} from "./constants.ts";
import type { NegotiatedExport } from "./client_handshake.ts";
import { decodeErrorPayload, type RequestFailure } from "./error_chunk.ts";
import { protocolFailure } from "./failure.ts";
import { collect, fill, type Parser } from "./intake.ts";
import { Regions } from "./regions.ts";
import {
  type ChunkHeader,
  decodeReplyRest,
  encodeRequest,
  replyRestBytes,
  type SimpleReply,
} from "./transmission.ts";

/** What the client wants done. A read's length is that of `into`, which the replies fill. */
export type Command =
  | { readonly type: "read"; readonly offsetBytes: number; readonly into: Uint8Array }
  | { readonly type: "flush" }
  | {
    readonly type: "write" | "writeZeroes" | "trim" | "blockStatus";
    readonly offsetBytes: number;
    readonly lengthBytes: number;
    /** Bits of `COMMAND_FLAG`. */
    readonly flags?: number;
  };

/** How a request ended. */
export type Outcome =
  | { readonly kind: "done" }
  /** Statuses by context id; each list starts at the request's offset. */
  | { readonly kind: "status"; readonly contexts: ReadonlyMap<number, readonly Status[]> }
  | { readonly kind: "failed"; readonly failure: RequestFailure };

interface Pending<Tag> {
  readonly command: Command;
  readonly tag: Tag;
  readonly regions: Regions;
  readonly statuses: Map<number, readonly Status[]>;
  failure: RequestFailure | null;
}

/**
 * The client's half of the transmission phase: requests out, replies in any order and number of
 * chunks in, each request answered exactly once. `Tag` is what the caller wants back with it.
 */
export class RequestsInFlight<Tag> {
  readonly #export: NegotiatedExport;
  readonly #onCompleted: (tag: Tag, outcome: Outcome) => void;
  readonly #pending = new Map<bigint, Pending<Tag>>();
  #nextCookie = 1n;

  constructor(
    negotiated: NegotiatedExport,
    onCompleted: (tag: Tag, outcome: Outcome) => void,
  ) {
    this.#export = negotiated;
    this.#onCompleted = onCompleted;
  }

  get count(): number {
    return this.#pending.size;
  }

  get #structured(): boolean {
    return this.#export.structured;
  }

  /** Registers a command. @returns its request header; a write's payload follows it on the wire */
  submit(command: Command, tag: Tag): Uint8Array {
    const { offsetBytes, lengthBytes } = rangeOf(command);
    invariant(lengthBytes <= MAX_REQUEST_LENGTH_BYTES, "a request's length fits 32 bits");
    const cookie = this.#nextCookie++;
    this.#pending.set(cookie, {
      command,
      tag,
      regions: new Regions(),
      statuses: new Map(),
      failure: null,
    });
    const flags = "flags" in command ? command.flags ?? 0 : 0;
    return encodeRequest({ flags, type: COMMAND[command.type], cookie, offsetBytes, lengthBytes });
  }

  /** Takes all that is unanswered, when the connection is lost. */
  abandon(): Tag[] {
    const tags = [...this.#pending.values()].map((pending) => pending.tag);
    this.#pending.clear();
    return tags;
  }

  /** Reads replies until the stream breaks. */
  *replies(): Parser<never> {
    for (;;) {
      const restBytes = replyRestBytes(yield* collect(4));
      const header = decodeReplyRest(yield* collect(restBytes));
      const pending = this.#pending.get(header.cookie);
      if (!pending) throw protocolFailure(`it answers request ${header.cookie}, which is not open`);
      if (header.kind === "simple") yield* this.#simple(header, pending);
      else yield* this.#chunk(header, pending);
    }
  }

  *#simple({ cookie, errno }: SimpleReply, pending: Pending<Tag>): Parser {
    const { command } = pending;
    if (errno !== 0) {
      pending.failure = { errno, message: "", offsetBytes: null };
    } else if (command.type === "blockStatus" || (command.type === "read" && this.#structured)) {
      throw protocolFailure(`it answers ${command.type} by a simple reply`);
    } else if (command.type === "read") {
      yield* fill(command.into);
      if (command.into.length > 0) pending.regions.add(0, command.into.length);
    }
    this.#complete(cookie, pending);
  }

  *#chunk(header: ChunkHeader, pending: Pending<Tag>): Parser {
    if (!this.#structured) throw protocolFailure("it sends chunks that nobody agreed to");
    const { command } = pending;
    const done = (header.flags & CHUNK_FLAG_DONE) !== 0;
    if (header.type & 0x8000) {
      limit(header, MAX_ERROR_CHUNK_BYTES);
      pending.failure = decodeErrorPayload(header.type, yield* collect(header.lengthBytes));
    } else if (header.type === CHUNK.none && header.lengthBytes === 0 && done) {
      // Ends a reply whose other chunks have been here already.
    } else if (header.type === CHUNK.data && command.type === "read") {
      limit(header, 8 + command.into.length, 9);
      const offsetBytes = new Fields(yield* collect(8), "data chunk").u64();
      yield* fill(place(command, pending.regions, offsetBytes, header.lengthBytes - 8));
    } else if (header.type === CHUNK.hole && command.type === "read") {
      limit(header, 12, 12);
      const fields = new Fields(yield* collect(12), "hole chunk");
      place(command, pending.regions, fields.u64(), fields.u32()).fill(0);
    } else if (header.type === CHUNK.blockStatus && command.type === "blockStatus") {
      limit(header, MAX_STATUS_CHUNK_BYTES);
      const { contextId, statuses } = decodeStatusPayload(
        yield* collect(header.lengthBytes),
        command.offsetBytes,
        command.lengthBytes,
      );
      if (!this.#export.contexts.has(contextId) || pending.statuses.has(contextId)) {
        throw protocolFailure(`it describes context ${contextId} twice or unasked`);
      }
      pending.statuses.set(contextId, statuses);
    } else {
      throw protocolFailure(
        `it answers ${command.type} by a chunk of type ${header.type} ` +
          `and ${header.lengthBytes} bytes`,
      );
    }
    if (done) this.#complete(header.cookie, pending);
  }

  #complete(cookie: bigint, pending: Pending<Tag>): void {
    const { command, failure, statuses, regions, tag } = pending;
    if (failure === null && command.type === "read") {
      const missingBytes = command.into.length - regions.coveredBytes;
      if (missingBytes > 0) throw protocolFailure(`it ends a read ${missingBytes} bytes short`);
    }
    if (failure === null && command.type === "blockStatus") {
      if (statuses.size < this.#export.contexts.size) {
        throw protocolFailure("it ends a block status without all selected contexts");
      }
    }
    this.#pending.delete(cookie);
    this.#onCompleted(
      tag,
      failure !== null
        ? { kind: "failed", failure }
        : command.type === "blockStatus"
        ? { kind: "status", contexts: statuses }
        : { kind: "done" },
    );
  }
}

/** The part of the disk that a command is about. */
export function rangeOf(command: Command): { offsetBytes: number; lengthBytes: number } {
  if (command.type === "flush") return { offsetBytes: 0, lengthBytes: 0 };
  const lengthBytes = command.type === "read" ? command.into.length : command.lengthBytes;
  return { offsetBytes: command.offsetBytes, lengthBytes };
}

function limit(header: ChunkHeader, maxBytes: number, minBytes = 0): void {
  if (header.lengthBytes > maxBytes || header.lengthBytes < minBytes) {
    throw protocolFailure(
      `a chunk of type ${header.type} has ${header.lengthBytes} bytes, ` +
        `allowed are ${minBytes} to ${maxBytes}`,
    );
  }
}

/** The part of a read's buffer that a chunk is for; marks it as arrived. */
function place(
  command: Command & { type: "read" },
  regions: Regions,
  offsetBytes: number,
  lengthBytes: number,
): Uint8Array {
  const start = offsetBytes - command.offsetBytes;
  const end = start + lengthBytes;
  if (start < 0 || lengthBytes === 0 || end > command.into.length) {
    throw protocolFailure(
      `it sends ${lengthBytes} bytes at ${offsetBytes} for a read of ` +
        `${command.into.length} at ${command.offsetBytes}`,
    );
  }
  regions.add(start, end);
  return command.into.subarray(start, end);
}
