/**
 * Batches of disk extents, payload of `diskBatch` frames. The envelope (`envelope.ts`) holds the
 * contents of all data extents back to back; the description is
 *
 * ```
 * varint disk, count, then for each extent: signed distance from the end of the last one,
 * varint 2 * length + (1 when zero)
 * ```
 */
import { type Extent, totalBytes } from "../core/extents.ts";
import { batchInvalid, ByteSink, ByteSource } from "./bytes.ts";
import { BODY_BYTES_MAX, open, type OpenBatch, openBatch, pack, ZSTD_LEVEL } from "./envelope.ts";

/** Extents of one batch; each takes at most 16 bytes of description. */
export const DISK_BATCH_EXTENTS_MAX = 16_384;
/** Contents of one batch; leaves room for the description. */
export const DISK_BATCH_CONTENTS_MAX = BODY_BYTES_MAX - 16 * DISK_BATCH_EXTENTS_MAX - 16;

const EXTENT_BYTES_MIN = 2;

/** Extents of one disk, and what they hold. */
export interface DiskBatch {
  /** Number of the disk in the offer. */
  readonly disk: number;
  readonly extents: readonly Extent[];
  /** Contents of the data extents, back to back in their order. */
  readonly contents: Uint8Array;
}

/** Encodes extents of one disk and their contents; see `openDiskBatch`. */
export function encodeDiskBatch(batch: DiskBatch, options: { level?: number } = {}): Uint8Array {
  return pack(openDiskBatch(batch, options));
}

/**
 * Extents of one disk and their contents as a batch to be packed; neither is kept.
 *
 * @throws {RangeError} when contents and extents do not fit each other or the limits
 */
export function openDiskBatch(
  { disk, extents, contents }: DiskBatch,
  { level = ZSTD_LEVEL } = {},
): OpenBatch {
  const dataBytes = totalBytes(extents, "data");
  if (dataBytes !== contents.byteLength || dataBytes > DISK_BATCH_CONTENTS_MAX) {
    throw new RangeError(`Extents of ${dataBytes} bytes come with ${contents.byteLength}`);
  }
  if (extents.length === 0 || extents.length > DISK_BATCH_EXTENTS_MAX) {
    throw new RangeError(`A batch holds 1 to ${DISK_BATCH_EXTENTS_MAX} extents`);
  }
  const description = new ByteSink();
  description.varint(disk);
  description.varint(extents.length);
  let expectedBytes = 0;
  for (const { offsetBytes, lengthBytes, kind } of extents) {
    if (!(lengthBytes > 0)) throw new RangeError(`An extent of ${lengthBytes} bytes`);
    description.signed(offsetBytes - expectedBytes);
    description.varint(2 * lengthBytes + (kind === "zero" ? 1 : 0));
    expectedBytes = offsetBytes + lengthBytes;
  }
  const body = new ByteSink(contents.byteLength + description.lengthBytes);
  body.raw(contents);
  return openBatch(body, description.view(), level);
}

/**
 * Decodes a batch and checks it against the disks it may write.
 *
 * @param diskBytes size of each disk of the offer, in its order
 * @returns contents as a view that stays valid as long as `payload`
 * @throws {GatewayError} `batch_invalid`
 */
export function decodeDiskBatch(payload: Uint8Array, diskBytes: readonly number[]): DiskBatch {
  const { contents, description } = open(payload);
  const source = new ByteSource(description);
  const disk = source.varint();
  if (disk >= diskBytes.length) throw batchInvalid(`there is no disk ${disk}`);
  const count = source.count(EXTENT_BYTES_MIN, "extents");
  if (count === 0 || count > DISK_BATCH_EXTENTS_MAX) throw batchInvalid(`${count} extents`);
  const extents: Extent[] = [];
  let endBytes = 0;
  let dataBytes = 0;
  for (let i = 0; i < count; i++) {
    const offsetBytes = endBytes + source.signed();
    const coded = source.varint();
    const kind = coded % 2 === 1 ? "zero" : "data";
    const lengthBytes = Math.floor(coded / 2);
    endBytes = offsetBytes + lengthBytes;
    if (offsetBytes < 0 || lengthBytes === 0 || endBytes > diskBytes[disk]) {
      throw batchInvalid(`disk ${disk} has no bytes ${offsetBytes} + ${lengthBytes}`);
    }
    if (kind === "data") dataBytes += lengthBytes;
    extents.push({ offsetBytes, lengthBytes, kind });
  }
  source.end();
  if (dataBytes !== contents.byteLength) {
    throw batchInvalid(`extents of ${dataBytes} bytes come with ${contents.byteLength}`);
  }
  return { disk, extents, contents };
}
