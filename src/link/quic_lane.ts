import { chunkPacketBytes, ipHeaderBytes } from "./packet_cost.ts";
import type { ByteStream } from "./quic_stream.ts";
import {
  CHUNK_HEADER_BYTES,
  endChunk,
  LaneReader,
  putChunk,
  type RecordAssembler,
} from "./quic_chunks.ts";

/** Longest chunk: one write of the sender. */
export const CHUNK_BYTES_MAX = 64 * 1024;

/**
 * Bytes of one lane that the peer has not read yet, at most. Below the runtime's window of 1.25 MB
 * per stream, so that a write never waits inside the transport where nothing can overtake it.
 */
export const LANE_WINDOW_BYTES_MAX = 1024 * 1024;

/** Bulk lanes let bytes gather for this long when a read brought less than this. */
const READ_PAUSE_MS = 4;
const FULL_READ_BYTES = 32 * 1024;

/** A chunk is what leaves in this time, in whole packets. */
const CHUNK_MS = 1;
const CHUNK_PACKETS_MIN = 2;
const CHUNK_PACKETS_MAX = 40;
/** Headers of a stream frame, beyond those of the datagram that the runtime's figure is for. */
const PACKET_SLACK_BYTES = 12;
/** A mark and its frame share the first packet. */
const MARK_BYTES = 20;

/** What `QuicLane` tells and asks the bundle. */
export interface LaneEvents {
  /** Something arrived. */
  heard(): void;
  record(bytes: Uint8Array): Promise<void> | void;
  datagram(bytes: Uint8Array): void;
  pause(ms: number): Promise<void>;
}

/** One authenticated connection of a bundle with its one stream. */
export class QuicLane {
  /** Bytes written here, and of those, read by the peer as far as it told. */
  sentBytes = 0;
  deliveredBytes = 0;
  /** Bytes read here. */
  receivedBytes = 0;
  readonly #headerBytes: number;
  readonly #scratch = new Uint8Array(CHUNK_HEADER_BYTES + CHUNK_BYTES_MAX);
  #endSent = false;

  constructor(
    readonly index: number,
    readonly conn: Deno.QuicConn,
    readonly stream: ByteStream,
  ) {
    this.#headerBytes = ipHeaderBytes(conn.remoteAddr.hostname);
  }

  /** A few packets that are all full: a half-empty one costs as much as a full one. */
  chunkBytes(bytesPerSecond: number): number {
    const packets = Math.round(bytesPerSecond * CHUNK_MS / 1000 / this.#streamBytesPerPacket);
    const bounded = Math.min(CHUNK_PACKETS_MAX, Math.max(CHUNK_PACKETS_MIN, packets));
    return bounded * this.#streamBytesPerPacket - CHUNK_HEADER_BYTES - MARK_BYTES;
  }

  /** What a chunk costs on the wire. */
  packetBytes(chunkBytes: number, lossRatio: number): number {
    return chunkPacketBytes(chunkBytes + CHUNK_HEADER_BYTES + MARK_BYTES, {
      datagramBytesMax: this.conn.maxDatagramSize,
      streamBytes: this.#streamBytesPerPacket,
      headerBytes: this.#headerBytes,
      lossRatio,
    });
  }

  /** Follows the path's MTU, as far as the transport found it. */
  get #streamBytesPerPacket(): number {
    return this.conn.maxDatagramSize - PACKET_SLACK_BYTES;
  }

  get outstandingBytes(): number {
    return this.sentBytes - this.deliveredBytes;
  }

  /** One write at a time: the buffer is reused. */
  async writeChunk(
    recordNumber: number,
    record: Uint8Array,
    offsetBytes: number,
    chunkBytes: number,
  ): Promise<void> {
    const used = putChunk(this.#scratch, recordNumber, record, offsetBytes, chunkBytes);
    this.sentBytes += used;
    await this.stream.write(this.#scratch.subarray(0, used));
  }

  async writeEnd(): Promise<void> {
    if (this.#endSent) return;
    this.#endSent = true;
    await this.stream.write(endChunk());
  }

  /** Lost or late datagrams matter to nobody. */
  sendDatagram(bytes: Uint8Array): void {
    this.conn.sendDatagram(bytes).catch(() => {});
  }

  /**
   * Reads the stream to its explicit end.
   *
   * @throws {GatewayError} for what no sender writes; the transport's error when it died; and an
   *   `Error` when the stream ended without its end record
   */
  async readStream(assembler: RecordAssembler, events: LaneEvents): Promise<void> {
    const reader = new LaneReader(assembler);
    while (!reader.ended) {
      const bytes = await this.stream.read();
      if (bytes === null) throw new Error("a stream ended without its end record");
      this.receivedBytes += bytes.length;
      events.heard();
      for (const record of reader.take(bytes)) {
        const applied = events.record(record);
        if (applied !== undefined) await applied;
      }
      // A read for every few packets costs more than all the rest; the transport keeps receiving.
      if (this.index > 0 && bytes.length < FULL_READ_BYTES) await events.pause(READ_PAUSE_MS);
    }
  }

  /** Reads datagrams until the connection is gone. */
  async readDatagrams(events: LaneEvents): Promise<void> {
    try {
      for (;;) {
        const bytes = await this.conn.readDatagram();
        events.heard();
        events.datagram(bytes);
      }
    } catch {
      // The stream and `closed` tell why the connection ended.
    }
  }
}
