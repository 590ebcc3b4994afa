import { frameInvalid } from "../wire/bytes.ts";
import { CHUNK_HEADER_BYTES, endChunk, LaneReader, putChunk } from "./quic_chunks.ts";
import type { RecordAssembler } from "./quic_chunks.ts";
import { type TunedSocket, UNTUNED } from "./tcp_tuning.ts";
import { TLS_CHUNK_BYTES_MAX } from "./tls_shape.ts";
import { type TlsStream, UNREAD_BYTES_MAX } from "./tls_stream.ts";

/**
 * Number of the records that are messages about the path (`path_datagram.ts`) and not records of
 * the session; only on lane 0.
 */
export const PATH_RECORD_NUMBER = 0xffff_ffff;

/** Beyond this, messages about the path are left out: they are totals, and later ones will do. */
const QUEUED_BYTES_MAX = 16 * 1024;

/** What `TlsLane` tells the bundle. */
export interface TlsLaneEvents {
  /** @param progressed something other than messages about the path arrived */
  heard(progressed: boolean): void;
  record(bytes: Uint8Array): Promise<void> | void;
  pathMessage(bytes: Uint8Array): void;
}

/** One authenticated TLS connection of a bundle. */
export class TlsLane {
  /** Bytes written here, and of those, read by the peer as far as it told. */
  sentBytes = 0;
  deliveredBytes = 0;
  /** Bytes read here. */
  receivedBytes = 0;
  readonly #scratch = new Uint8Array(CHUNK_HEADER_BYTES + TLS_CHUNK_BYTES_MAX);
  #isWriting = false;
  #endSent = false;
  #endRead = false;

  constructor(
    readonly index: number,
    readonly stream: TlsStream,
    /** What the system says of its socket. */
    readonly tuned: TunedSocket = UNTUNED,
  ) {
    stream.unreadBytesMax = UNREAD_BYTES_MAX;
  }

  get outstandingBytes(): number {
    return this.sentBytes - this.deliveredBytes;
  }

  /** False while the socket has not taken what it was given. */
  get isWritable(): boolean {
    return !this.#isWriting && !this.stream.socket.writableNeedDrain;
  }

  /** True once the end was read, and while more waits to be read. */
  get knowsItsEnd(): boolean {
    return this.#endRead || this.stream.unreadBytes > 0;
  }

  /** One write at a time: the buffer is reused. Resolves when the system has taken the bytes. */
  async writeChunk(
    recordNumber: number,
    record: Uint8Array,
    offsetBytes: number,
    chunkBytes: number,
  ): Promise<void> {
    this.#isWriting = true;
    const used = putChunk(this.#scratch, recordNumber, record, offsetBytes, chunkBytes);
    this.sentBytes += used;
    try {
      await this.stream.write(this.#scratch.subarray(0, used));
    } finally {
      this.#isWriting = false;
    }
  }

  /** Sends a message about the path, if not too much waits already; lost ones matter to nobody. */
  sendPathMessage(message: Uint8Array): void {
    if (this.#endSent || this.stream.socket.writableLength > QUEUED_BYTES_MAX) return;
    const bytes = new Uint8Array(CHUNK_HEADER_BYTES + message.length);
    this.sentBytes += putChunk(bytes, PATH_RECORD_NUMBER, message, 0, message.length);
    this.stream.write(bytes).catch(() => {});
  }

  async writeEnd(): Promise<void> {
    if (this.#endSent) return;
    this.#endSent = true;
    const end = endChunk();
    this.sentBytes += end.length;
    await this.stream.write(end);
  }

  /**
   * Reads the stream to its explicit end.
   *
   * @throws {GatewayError} for what no sender writes; the socket's error when it died; and an
   *   `Error` when the stream ended without its end record
   */
  async readStream(assembler: RecordAssembler, events: TlsLaneEvents): Promise<void> {
    const reader = new LaneReader(assembler);
    while (!reader.ended) {
      const bytes = await this.stream.read();
      if (bytes === null) throw new Error("a connection ended without its end record");
      this.receivedBytes += bytes.length;
      events.heard(false);
      let recordBytes = bytes.length;
      for (const record of reader.take(bytes)) {
        if (reader.recordNumber === PATH_RECORD_NUMBER) {
          if (this.index !== 0) throw frameInvalid("a message about the path on a bulk lane");
          recordBytes -= CHUNK_HEADER_BYTES + record.length;
          events.pathMessage(record);
          continue;
        }
        const applied = events.record(record);
        if (applied !== undefined) await applied;
      }
      if (recordBytes > 0) events.heard(true);
    }
    this.#endRead = true;
  }
}
