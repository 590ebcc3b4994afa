import assert from "node:assert/strict";
import { GatewayError } from "../../../core/errors.ts";
import type { Extent } from "../../../core/extents.ts";
import { MemoryBackend } from "../../../nbd/memory_backend.ts";
import { NbdClient } from "../../../nbd/client.ts";
import type { Connection } from "../../../nbd/connection.ts";
import { pack } from "../../../nbd/protocol/bytes.ts";
import { decodeStatusPayload, encodeStatusPayload } from "../../../nbd/protocol/block_status.ts";
import {
  listExports,
  negotiate,
  type NegotiatedExport,
} from "../../../nbd/protocol/client_handshake.ts";
import {
  BASE_ALLOCATION,
  CHUNK,
  CHUNK_HEADER_BYTES,
  CHUNK_MAGIC,
  COMMAND,
  GREETING_BYTES,
  MAX_PAYLOAD_BYTES,
  OPTION,
  OPTION_REPLY_HEADER_BYTES,
  OPTION_REPLY_MAGIC,
  SIMPLE_REPLY_MAGIC,
  TRANSMISSION,
} from "../../../nbd/protocol/constants.ts";
import {
  DEFAULT_BLOCK_SIZES,
  encodeContextRequest,
  encodeInfoRequest,
  encodeOption,
} from "../../../nbd/protocol/handshake.ts";
import { Intake, type Parser } from "../../../nbd/protocol/intake.ts";
import {
  type Command,
  type Outcome,
  RequestsInFlight,
} from "../../../nbd/protocol/requests_in_flight.ts";
import { accept, type ServedExport } from "../../../nbd/protocol/server_handshake.ts";
import {
  doneReply,
  failureReply,
  readReply,
  statusReply,
} from "../../../nbd/protocol/server_replies.ts";
import { encodeRequest } from "../../../nbd/protocol/transmission.ts";
import { ServerConnection } from "../../../nbd/server_connection.ts";
import { mutateBytes } from "../bytes_mutator.ts";
import type { Dice } from "../dice.ts";
import { chunksOf, tagged } from "../parts.ts";
import type { FuzzTarget } from "../target.ts";

const DISK_BYTES = 2 ** 20;
const DIRTY = "qemu:dirty-bitmap:b0";
const WANTED = { exportName: "d", contexts: [BASE_ALLOCATION, DIRTY] };
const SERVED: ServedExport = {
  name: "d",
  sizeBytes: DISK_BYTES,
  flags: TRANSMISSION.flush | TRANSMISSION.fua | TRANSMISSION.writeZeroes,
  blockSizes: DEFAULT_BLOCK_SIZES,
  hasAllocation: true,
};
const READ_BYTES = 6_000;
const COMMANDS: readonly Command["type"][] = ["read", "blockStatus", "write", "flush"];

/** The client: handshake, then replies to requests that are open. The first byte picks a chunking. */
export function nbdClient(): FuzzTarget {
  return {
    name: "nbd-client",
    reads: "what an NBD server says, from its greeting to its replies (src/nbd/protocol)",
    codes: ["nbd_protocol", "nbd_refused"],
    form: "bytes",
    // Two contexts of which each may have a full chunk of descriptors.
    bufferBytesMax: 2 * 8 * 2 ** 20 + 4 * 2 ** 20,
    testExecutions: 4_000,
    generate: (dice) => tagged(dice.below(256), serverBytes(dice)),
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    run(input) {
      const way = input[0] ?? 0;
      const bytes = input.subarray(1);
      if (way % 16 === 15) return list(bytes, way);
      let negotiated: NegotiatedExport | null = null;
      const completed: string[] = [];
      const buffers: Uint8Array[] = [];
      const session = function* (): Parser {
        negotiated = yield* negotiate(WANTED, () => {});
        assert.ok(negotiated.contexts.size <= WANTED.contexts.length, "only what was asked for");
        const requests = new RequestsInFlight<string>(
          negotiated,
          (tag, outcome) => completed.push(completedBy(tag, outcome)),
        );
        for (const type of COMMANDS) {
          if (type === "read") buffers.push(new Uint8Array(READ_BYTES));
          const lengthBytes = READ_BYTES;
          requests.submit(
            type === "flush"
              ? { type }
              : type === "read"
              ? { type, offsetBytes: 4096, into: buffers[0] }
              : { type, offsetBytes: 4096, lengthBytes },
            type,
          );
        }
        yield* requests.replies();
      };
      const intake = new Intake(session());
      for (const chunk of chunksOf(bytes, way)) intake.feed(chunk);
      assert.equal(new Set(completed).size, completed.length, "each request is answered once");
      return negotiated === null ? "greeting" : `${completed.sort().join(" ")}`;
    },
  };
}

function completedBy(tag: string, outcome: Outcome): string {
  if (outcome.kind === "status") {
    for (const statuses of outcome.contexts.values()) {
      let at = 4096;
      for (const { offsetBytes, lengthBytes } of statuses) {
        assert.equal(offsetBytes, at);
        assert.ok(lengthBytes > 0);
        at += lengthBytes;
      }
      assert.ok(at <= 4096 + READ_BYTES);
    }
  }
  return `${tag} ${outcome.kind}`;
}

function list(bytes: Uint8Array, way: number): string {
  let names: string[] | null = null;
  const session = function* (): Parser {
    names = yield* listExports(() => {});
  };
  const intake = new Intake(session());
  for (const chunk of chunksOf(bytes, way)) intake.feed(chunk);
  return names === null ? "no list" : `list of ${(names as string[]).length > 0}`;
}

/** What a server says to the client above; cookies count from 1. */
function serverBytes(dice: Dice): Uint8Array {
  const out: Uint8Array[] = [];
  const server = new Intake(function* (): Parser {
    yield* accept([SERVED], (bytes) => out.push(bytes));
  }());
  const client = new Intake(function* (): Parser {
    if (dice.chance(0.1)) yield* listExports((bytes) => server.feed(bytes));
    else yield* negotiate(WANTED, (bytes) => server.feed(bytes));
  }());
  for (let fed = 0; fed < out.length; fed++) client.feed(out[fed]);
  const header = (cookie: number) => ({
    flags: 0,
    type: COMMAND.read,
    cookie: BigInt(cookie),
    offsetBytes: 4096,
    lengthBytes: READ_BYTES,
  });
  const half = READ_BYTES / 2;
  const replies = [
    readReply(header(1), [
      { kind: "data", offsetBytes: 4096, bytes: dice.bytes(half) },
      { kind: "zero", offsetBytes: 4096 + half, lengthBytes: half },
    ]),
    statusReply(header(2), [{ offsetBytes: 4096, lengthBytes: READ_BYTES, flags: 3 }]),
    doneReply(header(3)),
    dice.chance(0.5) ? doneReply(header(4)) : failureReply(header(4), 28, "full", true),
  ];
  return pack(...out, ...replies.flat());
}

/** Block status of whole disks: what is known to be there has neither gaps nor ends outside. */
export function nbdStatus(): FuzzTarget {
  return {
    name: "nbd-status",
    reads: "an NBD server's account of what is allocated and dirty (src/nbd/client.ts)",
    codes: ["nbd_protocol"],
    form: "bytes",
    bufferBytesMax: 16 * 2 ** 20,
    testExecutions: 2_500,
    generate(dice) {
      const statuses = Array.from({ length: dice.size(40) + 1 }, () => ({
        offsetBytes: 0,
        lengthBytes: dice.pick([512, 65_536, dice.size(DISK_BYTES) + 1]),
        flags: dice.below(4),
      }));
      return encodeStatusPayload(1, statuses);
    },
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    async run(input) {
      let asked = 0;
      const connection = {
        negotiated: {
          sizeBytes: DISK_BYTES,
          flags: 1,
          blockSizes: DEFAULT_BLOCK_SIZES,
          structured: true,
          contexts: new Map([[1, BASE_ALLOCATION], [2, DIRTY]]),
        },
        // Both contexts tell the same, from another place on.
        request(command: Command & { type: "blockStatus" }) {
          asked++;
          const { offsetBytes, lengthBytes } = command;
          const skipped = 8 * (asked % 3);
          const payload = input.length > 12 + skipped
            ? pack(input.slice(0, 4), input.slice(4 + skipped))
            : input;
          const { statuses } = decodeStatusPayload(payload, offsetBytes, lengthBytes);
          return Promise.resolve({
            kind: "status",
            contexts: new Map([[1, statuses], [2, statuses]]),
          });
        },
      } as unknown as Connection;
      const client = new NbdClient(connection, "d", 200);
      const allocated = await client.allocatedExtents();
      assert.equal(checkCover(allocated), DISK_BYTES, "all of the disk");
      const dirty = await client.dirtyExtents(DIRTY);
      checkCover(dirty);
      return `${allocated.length > 1} ${dirty.length > 1}`;
    },
  };
}

function checkCover(extents: readonly Extent[]): number {
  let at = 0;
  let sum = 0;
  for (const { offsetBytes, lengthBytes } of extents) {
    assert.ok(offsetBytes >= at && lengthBytes > 0);
    at = offsetBytes + lengthBytes;
    sum += lengthBytes;
  }
  assert.ok(at <= DISK_BYTES);
  return sum;
}

const STUCK = 1;
/** Small, so that all requests that the server works on at once are. */
const SERVER_DISK_BYTES = 16_384;
/** What the server may read from a client that takes no reply: 16 writes, and what it reads at once. */
const HELD_BYTES_MAX = 512 * 1024;

/** The server, with a client that sends anything and may take nothing. */
export function nbdServer(): FuzzTarget {
  return {
    name: "nbd-server",
    reads: "what an NBD client says, to a server that it may not listen to (src/nbd)",
    codes: [],
    form: "bytes",
    bufferBytesMax: 4 * MAX_PAYLOAD_BYTES,
    heapBytesMax: 6 * MAX_PAYLOAD_BYTES,
    testExecutions: 1_500,
    generate: (dice) => tagged(dice.below(256), clientBytes(dice)),
    mutate: (input, dice, others) => mutateBytes(input, dice, others),
    async run(input) {
      const way = input[0] ?? 0;
      // One that does not take its replies says the same for as long as it is listened to.
      const isStuck = (way & STUCK) !== 0;
      const conn = new FakeConn(input.subarray(1), way >> 1, isStuck ? HELD_BYTES_MAX : 0);
      const backend = new MemoryBackend(SERVER_DISK_BYTES);
      const server = new ServerConnection(conn as unknown as Deno.Conn, {
        exports: [{ ...SERVED, sizeBytes: SERVER_DISK_BYTES }],
        backendOf: () => backend,
        sparseReads: true,
      });
      const serving = server.serve();
      if (isStuck) await conn.settled();
      else await serving;
      const { unwrittenBytes } = conn;
      conn.close();
      await serving;
      assert.ok(unwrittenBytes <= HELD_BYTES_MAX, `${unwrittenBytes} bytes were read`);
      return `${isStuck} ${answersOf(conn.written)}`;
    },
  };
}

/** What the server said: types of its option replies, then of chunks, and errors. */
function answersOf(written: Uint8Array): string {
  const view = new DataView(written.buffer, written.byteOffset, written.byteLength);
  const met = new Set<string>();
  let at = GREETING_BYTES;
  const has = (bytes: number) => at + bytes <= written.length;
  while (has(OPTION_REPLY_HEADER_BYTES) && view.getBigUint64(at) === OPTION_REPLY_MAGIC) {
    met.add(`option ${view.getUint32(at + 8)}: ${view.getUint32(at + 12)}`);
    at += OPTION_REPLY_HEADER_BYTES + view.getUint32(at + 16);
  }
  while (has(CHUNK_HEADER_BYTES) && view.getUint32(at) === CHUNK_MAGIC) {
    const isError = view.getUint16(at + 6) === CHUNK.error && has(CHUNK_HEADER_BYTES + 4);
    met.add(isError ? `errno ${view.getUint32(at + 20)}` : `chunk ${view.getUint16(at + 6)}`);
    at += CHUNK_HEADER_BYTES + view.getUint32(at + 16);
  }
  if (has(8) && view.getUint32(at) === SIMPLE_REPLY_MAGIC) {
    met.add(`simple ${view.getUint32(at + 4)}`);
  }
  return [...met].sort().join(", ");
}

function clientBytes(dice: Dice): Uint8Array {
  const options = Array.from({ length: dice.below(5) }, () =>
    dice.pick([
      encodeOption(OPTION.list),
      encodeOption(OPTION.structuredReply),
      encodeOption(OPTION.info, encodeInfoRequest({ exportName: "d", infoTypes: [0, 3] })),
      encodeOption(
        OPTION.setMetaContext,
        encodeContextRequest({ exportName: "d", queries: [BASE_ALLOCATION] }),
      ),
    ]));
  const go = encodeOption(OPTION.go, encodeInfoRequest({ exportName: "d", infoTypes: [] }));
  const requests = Array.from({ length: dice.size(20) }, () => {
    const type = dice.pick([0, 1, 3, 6, 7]);
    const lengthBytes = type === 3 ? 0 : dice.pick([1, 512, 4096, dice.size(SERVER_DISK_BYTES)]);
    const offsetBytes = type === 3 ? 0 : dice.size(SERVER_DISK_BYTES);
    const cookie = BigInt(dice.below(9));
    const header = encodeRequest({ flags: 0, type, cookie, offsetBytes, lengthBytes });
    return type === 1 ? pack(header, new Uint8Array(lengthBytes)) : header;
  });
  return pack([32, 3], ...options, ...(dice.chance(0.8) ? [go, ...requests] : []));
}

const WRITTEN_KEPT = 65_536;

/** A socket whose other end sends some bytes, again and again where `repeatBytes` says so. */
class FakeConn {
  /** As far as it is looked at. */
  written: Uint8Array = new Uint8Array(0);
  readBytes = 0;
  readonly #chunks: Iterator<Uint8Array>;
  #isClosed = false;
  #rest = new Uint8Array(0);
  readonly #closed = Promise.withResolvers<never>();

  constructor(
    private readonly bytes: Uint8Array,
    way: number,
    private readonly repeatBytes: number,
  ) {
    this.#chunks = this.#all(way);
    this.#closed.promise.catch(() => {});
  }

  /** Read and, by a client that takes nothing, not answered. */
  get unwrittenBytes(): number {
    return this.repeatBytes === 0 ? 0 : this.readBytes;
  }

  *#all(way: number): Generator<Uint8Array> {
    yield* chunksOf(this.bytes, way);
    // Without the flags at the start: they come once.
    const again = this.bytes.subarray(4);
    const times = again.length === 0 ? 0 : Math.ceil(16_384 / again.length);
    const many = pack(...Array<Uint8Array>(times).fill(again));
    for (let sent = 0; times > 0 && sent < 1.5 * this.repeatBytes; sent += many.length) yield many;
  }

  read(into: Uint8Array): Promise<number | null> {
    if (this.#isClosed) return Promise.resolve(null);
    if (this.#rest.length === 0) {
      const next = this.#chunks.next();
      if (next.done) return this.repeatBytes > 0 ? this.#closed.promise : Promise.resolve(null);
      this.#rest = new Uint8Array(next.value);
    }
    const part = this.#rest.subarray(0, into.length);
    into.set(part);
    this.#rest = this.#rest.subarray(part.length);
    this.readBytes += part.length;
    return Promise.resolve(part.length);
  }

  write(bytes: Uint8Array): Promise<number> {
    if (this.#isClosed) {
      return Promise.reject(new GatewayError("nbd_disconnected", "x", { hint: "" }));
    }
    if (this.repeatBytes > 0) return this.#closed.promise;
    if (this.written.length < WRITTEN_KEPT) this.written = pack(this.written, bytes);
    return Promise.resolve(bytes.length);
  }

  /** Resolves once nothing more is read. */
  async settled(): Promise<void> {
    for (let before = -1; before !== this.readBytes && !this.#isClosed;) {
      before = this.readBytes;
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (this.readBytes > HELD_BYTES_MAX) return;
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closed.reject(new Error("closed"));
  }
}
