import { MAX_STATUS_DESCRIPTORS } from "./constants.ts";
import { protocolFailure } from "./failure.ts";

/** One range of a metadata context; what the flags mean is up to the context. */
export interface Status {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly flags: number;
}

/** Payload limit of a block status chunk, checked before it is collected. */
export const MAX_STATUS_CHUNK_BYTES = 4 + 8 * MAX_STATUS_DESCRIPTORS;

/** `be32 context id, (be32 length, be32 flags)...` */
export function encodeStatusPayload(contextId: number, statuses: readonly Status[]): Uint8Array {
  const payload = new Uint8Array(4 + 8 * statuses.length);
  const view = new DataView(payload.buffer);
  view.setUint32(0, contextId);
  statuses.forEach(({ lengthBytes, flags }, index) => {
    view.setUint32(4 + 8 * index, lengthBytes);
    view.setUint32(8 + 8 * index, flags);
  });
  return payload;
}

/**
 * Decodes a block status payload for a request over `[offsetBytes, offsetBytes + lengthBytes)`.
 * Servers may describe less than was asked, or, in the last descriptor, more: that is clipped.
 *
 * @throws {GatewayError} `nbd_protocol` for no descriptor, or an empty one, which would never end
 */
export function decodeStatusPayload(
  payload: Uint8Array,
  offsetBytes: number,
  lengthBytes: number,
): { contextId: number; statuses: Status[] } {
  if (payload.length < 12 || (payload.length - 4) % 8 !== 0) {
    throw protocolFailure(`a block status has ${payload.length} bytes`);
  }
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const statuses: Status[] = [];
  const end = offsetBytes + lengthBytes;
  let at = offsetBytes;
  for (let index = 4; index < payload.length; index += 8) {
    const describedBytes = view.getUint32(index);
    if (describedBytes === 0) throw protocolFailure("a block status describes zero bytes");
    if (at === end) throw protocolFailure("a block status goes on after the end of the request");
    const clippedBytes = Math.min(describedBytes, end - at);
    statuses.push({
      offsetBytes: at,
      lengthBytes: clippedBytes,
      flags: view.getUint32(index + 4),
    });
    at += clippedBytes;
  }
  return { contextId: view.getUint32(0), statuses };
}
