/**
 * How records travel on the lanes of a bundle (protocol version 1, implemented). A record is cut
 * into chunks, each on whichever lane has least in flight, so that a long one neither fills one
 * connection nor waits for it:
 *
 *     { u32 recordNumber, u32 recordBytes, u32 offsetBytes, u32 chunkBytes, chunk }
 *
 * Integers are big-endian. A header with `recordBytes` 0 is the explicit end of the lane: QUIC
 * streams look cleanly ended after an abort.
 */
import { frameInvalid } from "../wire/bytes.ts";
import { GatewayError } from "../core/errors.ts";
import { RECORD_BYTES_MAX } from "../wire/limits.ts";

export const CHUNK_HEADER_BYTES = 16;
/** Records of which a part has arrived; the sender's window is far smaller. */
export const PARTIAL_RECORDS_MAX = 4096;
/** Their sizes together. */
export const PARTIAL_BYTES_MAX = 64 * 1024 * 1024;

const RECORD_NUMBER_LIMIT = 0x1_0000_0000;

/** Numbers records of one direction of one bundle; wraps long after the first is gone. */
export function nextRecordNumber(number: number): number {
  return (number + 1) % RECORD_NUMBER_LIMIT;
}

/** Writes one chunk's header and bytes to the start of `target`; returns their length. */
export function putChunk(
  target: Uint8Array,
  recordNumber: number,
  record: Uint8Array,
  offsetBytes: number,
  chunkBytes: number,
): number {
  const view = new DataView(target.buffer, target.byteOffset, CHUNK_HEADER_BYTES);
  view.setUint32(0, recordNumber);
  view.setUint32(4, record.length);
  view.setUint32(8, offsetBytes);
  view.setUint32(12, chunkBytes);
  target.set(record.subarray(offsetBytes, offsetBytes + chunkBytes), CHUNK_HEADER_BYTES);
  return CHUNK_HEADER_BYTES + chunkBytes;
}

/** The explicit end of a lane. */
export function endChunk(): Uint8Array<ArrayBuffer> {
  return new Uint8Array(CHUNK_HEADER_BYTES);
}

interface PartialRecord {
  readonly bytes: Uint8Array;
  /** Not yet arrived. */
  leftBytes: number;
  /** Not yet announced by a chunk's header; at most `leftBytes`. */
  unclaimedBytes: number;
}

/** Puts records together from the chunks of all lanes of a bundle. */
export class RecordAssembler {
  readonly #partial = new Map<number, PartialRecord>();
  #partialBytes = 0;

  /** Size of the records that are not complete. */
  get partialBytes(): number {
    return this.#partialBytes;
  }

  /** The record that a chunk belongs to, made at its first chunk. @throws `frame_invalid` */
  open(recordNumber: number, recordBytes: number): PartialRecord {
    const known = this.#partial.get(recordNumber);
    if (known) {
      if (known.bytes.length !== recordBytes) {
        throw frameInvalid(`record ${recordNumber} changes its length`);
      }
      return known;
    }
    if (
      this.#partial.size >= PARTIAL_RECORDS_MAX ||
      this.#partialBytes + recordBytes > PARTIAL_BYTES_MAX
    ) {
      throw frameInvalid(
        `more than ${PARTIAL_RECORDS_MAX} records or ${PARTIAL_BYTES_MAX} bytes ` +
          "are incomplete",
      );
    }
    const record = {
      bytes: new Uint8Array(recordBytes),
      leftBytes: recordBytes,
      unclaimedBytes: recordBytes,
    };
    this.#partial.set(recordNumber, record);
    this.#partialBytes += recordBytes;
    return record;
  }

  /** Forgets a complete record. */
  release(recordNumber: number, record: PartialRecord): void {
    this.#partial.delete(recordNumber);
    this.#partialBytes -= record.bytes.length;
  }
}

/** Reads one lane, at any chunking of its bytes. */
export class LaneReader {
  readonly #header = new Uint8Array(CHUNK_HEADER_BYTES);
  readonly #view = new DataView(this.#header.buffer);
  #headerBytes = 0;
  #recordNumber = 0;
  #record: PartialRecord | null = null;
  #at = 0;
  #chunkLeftBytes = 0;
  #ended = false;

  constructor(readonly assembler: RecordAssembler) {}

  /** Number of the record that `take` yielded last. */
  get recordNumber(): number {
    return this.#recordNumber;
  }

  /** True after the explicit end. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Takes the lane's next bytes and yields every record that they complete. The bytes are copied.
   *
   * @throws {GatewayError} `frame_too_long`, `frame_invalid`, before anything is allocated
   */
  *take(bytes: Uint8Array): Generator<Uint8Array> {
    while (bytes.length > 0) {
      if (this.#ended) throw frameInvalid("bytes follow the end of a lane");
      if (this.#record === null) {
        const part = bytes.subarray(0, CHUNK_HEADER_BYTES - this.#headerBytes);
        this.#header.set(part, this.#headerBytes);
        this.#headerBytes += part.length;
        bytes = bytes.subarray(part.length);
        if (this.#headerBytes === CHUNK_HEADER_BYTES) this.#openChunk();
        continue;
      }
      const part = bytes.subarray(0, this.#chunkLeftBytes);
      this.#record.bytes.set(part, this.#at);
      this.#at += part.length;
      this.#chunkLeftBytes -= part.length;
      this.#record.leftBytes -= part.length;
      bytes = bytes.subarray(part.length);
      if (this.#chunkLeftBytes > 0) continue;
      const record = this.#record;
      this.#record = null;
      if (record.leftBytes > 0) continue;
      this.assembler.release(this.#recordNumber, record);
      yield record.bytes;
    }
  }

  #openChunk(): void {
    this.#headerBytes = 0;
    const [recordNumber, recordBytes, offsetBytes, chunkBytes] = [0, 4, 8, 12]
      .map((at) => this.#view.getUint32(at));
    if (recordBytes === 0) {
      if (recordNumber + offsetBytes + chunkBytes !== 0) throw frameInvalid("an empty record");
      this.#ended = true;
      return;
    }
    if (recordBytes > RECORD_BYTES_MAX) {
      throw new GatewayError(
        "frame_too_long",
        `Cannot accept a record of ${recordBytes} bytes: the limit is ${RECORD_BYTES_MAX}`,
        { hint: "Check that both gateways run the same version" },
      );
    }
    if (chunkBytes === 0 || offsetBytes + chunkBytes > recordBytes) {
      throw frameInvalid(`a chunk of ${chunkBytes} bytes at ${offsetBytes} of ${recordBytes}`);
    }
    const record = this.assembler.open(recordNumber, recordBytes);
    if (chunkBytes > record.unclaimedBytes) {
      throw frameInvalid(`record ${recordNumber} overlaps itself`);
    }
    record.unclaimedBytes -= chunkBytes;
    this.#recordNumber = recordNumber;
    this.#record = record;
    this.#at = offsetBytes;
    this.#chunkLeftBytes = chunkBytes;
  }
}
