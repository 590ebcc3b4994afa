/**
 * What memory and disk batches have in common: contents (pages, blocks; back to back) and, behind
 * them, the description of what they are, compressed together.
 *
 * ```
 *  0  u8   version 1
 *  1  u8   0 raw, 1 zstd (RFC 8878) with content checksum
 *  2  u16  0
 *  4  u32  bytes of contents   both before compression, big-endian
 *  8  u32  bytes of description
 * 12  u32  bytes stored from here on; zlib does not notice when a frame's checksum is cut off
 * 16       contents, description
 * ```
 *
 * Contents come first, so that pages keep their alignment in the decoder's buffer.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { plainView } from "../image/plain_view.ts";
import { batchInvalid, ByteSink } from "./bytes.ts";

export const BATCH_HEADER_BYTES = 16;

/** Longest payload of a batch, compressed or not: it must fit one frame. */
export const BATCH_BYTES_MAX = 1024 * 1024;

/** Contents and description together, before compression. A raw batch fits the limit above. */
export const BODY_BYTES_MAX = BATCH_BYTES_MAX - BATCH_HEADER_BYTES;

/** First copies on links up to some 500 Mbit/s; 1 is twice as fast, 6 gains 5 % at triple cost. */
export const ZSTD_LEVEL = 3;

/**
 * A chunk that the output fills exactly makes zlib fetch, clear and drop a second one: a third of
 * the time of incompressible contents. Also what zstd adds to contents that it cannot compress.
 */
const ROOM_BYTES = 64;

const VERSION = 1;
const RAW = 0;
const ZSTD = 1;

/** Contents and description of a decoded batch: views into one buffer. */
export interface Body {
  readonly contents: Uint8Array;
  readonly description: Uint8Array;
}

/** A batch that is complete and not packed yet: `pack` makes its payload, here or elsewhere. */
export interface OpenBatch {
  /** Contents, then description: a view, valid until the next thing is written to its maker. */
  readonly body: Uint8Array;
  readonly contentsBytes: number;
  /** zstd level; null: raw. */
  readonly level: number | null;
}

/**
 * Completes a batch; `contents` gets `description` appended.
 *
 * @param level -7 to 22, not 0 or -1 (which zlib reads as "not set"); null: raw
 */
export function openBatch(
  contents: ByteSink,
  description: Uint8Array,
  level: number | null,
): OpenBatch {
  if (level !== null) checkLevel(level);
  const contentsBytes = contents.lengthBytes;
  contents.raw(description);
  const body = contents.view();
  if (body.byteLength > BODY_BYTES_MAX) {
    throw new RangeError(`A batch holds ${BODY_BYTES_MAX} bytes, got ${body.byteLength}`);
  }
  return { body, contentsBytes, level };
}

/**
 * The payload of a batch; raw where zstd does not help.
 *
 * @returns bytes of its own
 */
export function pack({ body, contentsBytes, level }: OpenBatch): Uint8Array {
  const packed = level === null ? body : compress(body, level);
  const compresses = packed.byteLength < body.byteLength;
  const stored = compresses ? packed : body;
  const payload = new Uint8Array(BATCH_HEADER_BYTES + stored.byteLength);
  const header = new DataView(payload.buffer);
  header.setUint8(0, VERSION);
  header.setUint8(1, compresses ? ZSTD : RAW);
  header.setUint32(4, contentsBytes);
  header.setUint32(8, body.byteLength - contentsBytes);
  header.setUint32(12, stored.byteLength);
  payload.set(stored, BATCH_HEADER_BYTES);
  return payload;
}

/** Completes and packs a batch; see `openBatch` and `pack`. */
export function seal(
  contents: ByteSink,
  description: Uint8Array,
  level: number | null,
): Uint8Array {
  return pack(openBatch(contents, description, level));
}

/**
 * Undoes `seal`.
 *
 * @returns views into `payload` when it is raw, else into a buffer of their own
 * @throws {GatewayError} `batch_invalid`; lengths are checked before anything is allocated
 */
export function open(payload: Uint8Array): Body {
  if (payload.byteLength < BATCH_HEADER_BYTES) throw batchInvalid("it is shorter than its header");
  const header = new DataView(payload.buffer, payload.byteOffset, BATCH_HEADER_BYTES);
  if (header.getUint8(0) !== VERSION) throw batchInvalid(`version ${header.getUint8(0)}`);
  const compression = header.getUint8(1);
  if (compression !== RAW && compression !== ZSTD) throw batchInvalid(`compression ${compression}`);
  if (header.getUint16(2) !== 0) throw batchInvalid("a reserved byte is set");
  const contentsBytes = header.getUint32(4);
  const bodyBytes = contentsBytes + header.getUint32(8);
  if (bodyBytes > BODY_BYTES_MAX) {
    throw batchInvalid(`it announces ${bodyBytes} bytes, limit is ${BODY_BYTES_MAX}`);
  }
  const stored = payload.subarray(BATCH_HEADER_BYTES);
  if (header.getUint32(12) !== stored.byteLength) {
    throw batchInvalid(`it stores ${header.getUint32(12)} bytes and has ${stored.byteLength}`);
  }
  const body = compression === RAW ? stored : decompress(stored, bodyBytes);
  // A truncated zstd frame decompresses to less without any error.
  if (body.byteLength !== bodyBytes) {
    throw batchInvalid(`it announces ${bodyBytes} bytes and holds ${body.byteLength}`);
  }
  return { contents: body.subarray(0, contentsBytes), description: body.subarray(contentsBytes) };
}

function compress(body: Uint8Array, level: number): Uint8Array {
  return zstdCompressSync(body, {
    // Whatever it takes in one piece: default chunks of 16 KiB would collect it in many.
    chunkSize: body.byteLength + ROOM_BYTES,
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      // A flipped bit is good data to zstd without it.
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });
}

function decompress(stored: Uint8Array, bodyBytes: number): Uint8Array {
  try {
    return plainView(zstdDecompressSync(stored, {
      chunkSize: bodyBytes + ROOM_BYTES,
      maxOutputLength: Math.max(1, bodyBytes),
    }));
  } catch (cause) {
    throw batchInvalid("its contents do not decompress", cause);
  }
}

/** @throws {RangeError} for what zstd has no level for, or would silently take for another one */
export function checkLevel(level: number): void {
  if (Number.isInteger(level) && level >= -7 && level <= 22 && level !== 0 && level !== -1) return;
  throw new RangeError(`A zstd level is 1 to 22 or -7 to -2, got ${level}`);
}
