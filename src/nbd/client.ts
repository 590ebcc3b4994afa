import type { Extent } from "../core/extents.ts";
import { mergeExtents } from "../core/extents.ts";
import { GatewayError } from "../core/errors.ts";
import type { NbdAddress } from "./address.ts";
import { Connection } from "./connection.ts";
import type { Status } from "./protocol/block_status.ts";
import {
  BASE_ALLOCATION,
  COMMAND_FLAG,
  MAX_REQUEST_LENGTH_BYTES,
  TRANSMISSION,
} from "./protocol/constants.ts";
import { ERRNO, errnoName } from "./protocol/errno.ts";
import { refusal } from "./protocol/failure.ts";
import { type Command, type Outcome, rangeOf } from "./protocol/requests_in_flight.ts";
import { allocationExtents, dirtyParts } from "./status_extents.ts";

/** Beyond this many extents (some 300 MB here) or answers the rest of a disk is one piece of data. */
const DEFAULT_MAX_EXTENTS = 4 * 1024 * 1024;

export interface NbdClientOptions {
  readonly address: NbdAddress;
  readonly exportName: string;
  /** Such as `base:allocation` and `qemu:dirty-bitmap:NAME`; those the server lacks are left out. */
  readonly metaContexts?: readonly string[];
  /** Bound of extents and of answers about them; the rest of the disk counts as data. */
  readonly maxExtents?: number;
  /** Ends connecting and the handshake with its reason; without effect afterwards. */
  readonly signal?: AbortSignal;
}

/**
 * Connects to one export of an NBD server (fixed newstyle, structured replies where offered).
 *
 * ```ts ignore
 * const disk = await connectNbd({
 *   address: { kind: "unix", path: "/run/vm/disk.sock" },
 *   exportName: "disk0",
 *   metaContexts: ["base:allocation"],
 * });
 * for (const extent of await disk.allocatedExtents()) { … }
 * await disk.close();
 * ```
 *
 * Below this module: `connection.ts` drives a socket, `protocol/` is pure and knows the bytes.
 * Specification: NetworkBlockDevice/nbd, doc/proto.md.
 *
 * @throws {GatewayError} `nbd_disconnected` when the server cannot be reached or leaves,
 * `nbd_refused` when it does not offer the export, `nbd_protocol` when it does not speak NBD
 */
export async function connectNbd(options: NbdClientOptions): Promise<NbdClient> {
  const { address, exportName, metaContexts = [], signal } = options;
  const connection = await Connection.open({ address, exportName, contexts: metaContexts, signal });
  return new NbdClient(connection, exportName, options.maxExtents ?? DEFAULT_MAX_EXTENTS);
}

/**
 * One connection to one export. Calls may overlap: up to 16 requests are in flight, more wait in
 * order; the server may work on them in any order. Buffers given to a call must be left alone until
 * its promise settles. There is no time-out here: whoever judges that the server hangs calls `close`.
 *
 * Every call may throw `GatewayError`: `nbd_disconnected` and `nbd_protocol` (the connection is
 * over), `disk_full`, `nbd_io_error` (that one request failed). Ranges outside the export are a
 * `RangeError`.
 */
export class NbdClient {
  readonly #connection: Connection;
  readonly #exportName: string;
  readonly #maxExtents: number;
  readonly #contextIds: ReadonlyMap<string, number>;
  readonly sizeBytes: number;
  /** Bits of `TRANSMISSION`. */
  readonly flags: number;
  readonly minBlockBytes: number;
  readonly preferredBlockBytes: number;
  /** Longer reads and writes travel as several requests. */
  readonly maxPayloadBytes: number;

  constructor(connection: Connection, exportName: string, maxExtents: number) {
    const { sizeBytes, flags, blockSizes, contexts } = connection.negotiated;
    this.#connection = connection;
    this.#exportName = exportName;
    this.#maxExtents = maxExtents;
    this.#contextIds = new Map([...contexts].map(([id, name]) => [name, id]));
    this.sizeBytes = sizeBytes;
    this.flags = flags;
    this.minBlockBytes = blockSizes.minBytes;
    this.preferredBlockBytes = blockSizes.preferredBytes;
    this.maxPayloadBytes = blockSizes.maxPayloadBytes;
  }

  /** Names of the metadata contexts that the server selected. */
  get contexts(): readonly string[] {
    return [...this.#contextIds.keys()];
  }

  get readOnly(): boolean {
    return (this.flags & TRANSMISSION.readOnly) !== 0;
  }

  /** Reads into `into`, or into a new buffer; on failure its content is undefined. */
  async read(offsetBytes: number, lengthBytes: number, into?: Uint8Array): Promise<Uint8Array> {
    this.#checkRange(offsetBytes, lengthBytes);
    if (into && into.length !== lengthBytes) {
      throw new RangeError(`into has ${into.length} bytes, the read ${lengthBytes}`);
    }
    const target = into ?? new Uint8Array(lengthBytes);
    await this.#inPieces(lengthBytes, this.maxPayloadBytes, (start, end) =>
      this.#request({
        type: "read",
        offsetBytes: offsetBytes + start,
        into: target.subarray(start, end),
      }));
    return target;
  }

  /** Resolved means accepted; durable only after a later `flush`. */
  async write(offsetBytes: number, bytes: Uint8Array): Promise<void> {
    this.#checkWritable(offsetBytes, bytes.length);
    await this.#inPieces(bytes.length, this.maxPayloadBytes, (start, end) =>
      this.#request(
        { type: "write", offsetBytes: offsetBytes + start, lengthBytes: end - start },
        bytes.subarray(start, end),
      ));
  }

  /**
   * Makes a range read as zeroes. `noHole` keeps its blocks allocated. A server without
   * WRITE_ZEROES gets them as data.
   */
  async writeZeroes(
    offsetBytes: number,
    lengthBytes: number,
    options: { readonly noHole?: boolean } = {},
  ): Promise<void> {
    this.#checkWritable(offsetBytes, lengthBytes);
    if ((this.flags & TRANSMISSION.writeZeroes) === 0) {
      const zeroes = new Uint8Array(Math.min(lengthBytes, this.maxPayloadBytes));
      await this.#inPieces(lengthBytes, zeroes.length, (start, end) =>
        this.#request(
          { type: "write", offsetBytes: offsetBytes + start, lengthBytes: end - start },
          zeroes.subarray(0, end - start),
        ));
      return;
    }
    const flags = options.noHole ? COMMAND_FLAG.noHole : 0;
    await this.#inPieces(lengthBytes, MAX_REQUEST_LENGTH_BYTES, (start, end) =>
      this.#request({
        type: "writeZeroes",
        offsetBytes: offsetBytes + start,
        lengthBytes: end - start,
        flags,
      }));
  }

  /** Every write that was resolved before this call is on stable storage when it resolves. */
  async flush(): Promise<void> {
    if (this.readOnly) return;
    if ((this.flags & TRANSMISSION.flush) === 0) {
      throw refusal(
        `flush NBD export "${this.#exportName}"`,
        "the server has no flush",
        "Use a server that can make writes durable",
      );
    }
    await this.#request({ type: "flush" });
  }

  /** One answer of the server; it may end before the range does, never after. */
  async blockStatus(context: string, offsetBytes: number, lengthBytes: number): Promise<Status[]> {
    this.#checkRange(offsetBytes, lengthBytes);
    if (lengthBytes === 0) return [];
    const id = this.#contextId(context);
    const statuses = await this.#allStatuses(offsetBytes, lengthBytes);
    return [...statuses.get(id) ?? []];
  }

  /** The whole export by `base:allocation`; all of it data where the server has no such context. */
  async allocatedExtents(): Promise<Extent[]> {
    const id = this.#contextIds.get(BASE_ALLOCATION);
    if (id === undefined) return mergeExtents([this.#dataFrom(0)]);
    return await this.#collect([id], ([allocation]) => allocationExtents(allocation));
  }

  /**
   * What a dirty bitmap (`qemu:dirty-bitmap:NAME`) has caught, sorted. With `base:allocation`
   * selected on this connection, dirty parts that read as zeroes are `zero`, else all are `data`.
   */
  async dirtyExtents(bitmapContext: string): Promise<Extent[]> {
    const bitmapId = this.#contextId(bitmapContext);
    const allocationId = this.#contextIds.get(BASE_ALLOCATION);
    if (allocationId === undefined) {
      return await this.#collect([bitmapId], ([dirty]) => dirtyParts(dirty, []));
    }
    return await this.#collect(
      [bitmapId, allocationId],
      ([dirty, allocation]) => dirtyParts(dirty, allocationExtents(allocation)),
    );
  }

  /** Ends the connection; requests that are still open are rejected with `nbd_disconnected`. */
  close(): Promise<void> {
    return this.#connection.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Steps over the export; each step has the same range of every asked context. */
  async #collect(
    ids: readonly number[],
    toExtents: (statuses: Status[][]) => Extent[],
  ): Promise<Extent[]> {
    const extents: Extent[] = [];
    let answers = 0;
    for (let at = 0; at < this.sizeBytes;) {
      // A server that describes a few bytes at a time would be asked for ever.
      if (Math.max(extents.length, answers++) >= this.#maxExtents) {
        // Sending more than needed is slow, forgetting a block would be wrong.
        extents.push(this.#dataFrom(at));
        break;
      }
      const all = await this.#allStatuses(at, this.sizeBytes - at);
      const lists = ids.map((id) => all.get(id) ?? []);
      at = Math.min(...lists.map(endOfStatuses));
      for (const extent of toExtents(lists.map((statuses) => clipStatuses(statuses, at)))) {
        extents.push(extent);
      }
    }
    return mergeExtents(extents);
  }

  #dataFrom(offsetBytes: number): Extent {
    return { offsetBytes, lengthBytes: this.sizeBytes - offsetBytes, kind: "data" };
  }

  async #allStatuses(
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<ReadonlyMap<number, readonly Status[]>> {
    const length = Math.min(lengthBytes, MAX_REQUEST_LENGTH_BYTES);
    const outcome = await this.#request({ type: "blockStatus", offsetBytes, lengthBytes: length });
    return outcome.kind === "status" ? outcome.contexts : new Map();
  }

  async #request(command: Command, payload?: Uint8Array): Promise<Outcome> {
    const outcome = await this.#connection.request(command, payload);
    if (outcome.kind !== "failed") return outcome;
    const { errno, message, offsetBytes } = outcome.failure;
    const range = rangeOf(command);
    const at = offsetBytes === null ? range.offsetBytes : offsetBytes;
    const what = command.type === "flush"
      ? `flush NBD export "${this.#exportName}"`
      : `${command.type} ${range.lengthBytes} bytes at ${at} of NBD export "${this.#exportName}"`;
    const text = message ? `${errnoName(errno)} (${message})` : errnoName(errno);
    throw errno === ERRNO.ENOSPC
      ? new GatewayError("disk_full", `Cannot ${what}: ${text}`, {
        hint: "Free space on the storage of this disk, then try again",
      })
      : new GatewayError("nbd_io_error", `Cannot ${what}: the server answers ${text}`, {
        hint: "Look at the storage of this disk and at the server's log",
      });
  }

  /** Runs the pieces of a long call side by side; all have settled when the first error is thrown. */
  async #inPieces(
    lengthBytes: number,
    pieceBytes: number,
    run: (start: number, end: number) => Promise<unknown>,
  ): Promise<void> {
    if (lengthBytes <= pieceBytes) {
      if (lengthBytes > 0) await run(0, lengthBytes);
      return;
    }
    const pieces: Promise<unknown>[] = [];
    for (let start = 0; start < lengthBytes; start += pieceBytes) {
      pieces.push(run(start, Math.min(start + pieceBytes, lengthBytes)));
    }
    for (const result of await Promise.allSettled(pieces)) {
      if (result.status === "rejected") throw result.reason;
    }
  }

  #contextId(name: string): number {
    const id = this.#contextIds.get(name);
    if (id !== undefined) return id;
    throw refusal(
      `read block status of NBD export "${this.#exportName}"`,
      `the server did not select the context ${name}`,
      "Name it in metaContexts, and check that the export offers it",
    );
  }

  #checkRange(offsetBytes: number, lengthBytes: number): void {
    const valid = Number.isSafeInteger(offsetBytes) && Number.isSafeInteger(lengthBytes) &&
      offsetBytes >= 0 && lengthBytes >= 0 && offsetBytes + lengthBytes <= this.sizeBytes;
    if (!valid) {
      throw new RangeError(
        `${lengthBytes} bytes at ${offsetBytes} are not inside the ${this.sizeBytes} of the export`,
      );
    }
  }

  #checkWritable(offsetBytes: number, lengthBytes: number): void {
    this.#checkRange(offsetBytes, lengthBytes);
    if (this.readOnly) {
      throw refusal(
        `write to NBD export "${this.#exportName}"`,
        "it is read-only",
        "Export it writable",
      );
    }
  }
}

function endOfStatuses(statuses: readonly Status[]): number {
  const last = statuses[statuses.length - 1];
  return last.offsetBytes + last.lengthBytes;
}

function clipStatuses(statuses: readonly Status[], end: number): Status[] {
  const clipped: Status[] = [];
  for (const status of statuses) {
    if (status.offsetBytes >= end) break;
    clipped.push({
      ...status,
      lengthBytes: Math.min(status.lengthBytes, end - status.offsetBytes),
    });
  }
  return clipped;
}
