import { encodeStatusPayload, type Status } from "./block_status.ts";
import { pack } from "./bytes.ts";
import { CHUNK, CHUNK_FLAG_DONE, COMMAND } from "./constants.ts";
import { encodeErrorPayload } from "./error_chunk.ts";
import { ALLOCATION_CONTEXT_ID } from "./server_handshake.ts";
import { encodeChunkHeader, encodeSimpleReply, type RequestHeader } from "./transmission.ts";

/** One piece of what was read; a hole costs 32 bytes on the wire whatever its length. */
export type ReadPiece =
  | { readonly kind: "data"; readonly offsetBytes: number; readonly bytes: Uint8Array }
  | { readonly kind: "zero"; readonly offsetBytes: number; readonly lengthBytes: number };

/** Success of a request that returns nothing. */
export function doneReply({ cookie }: RequestHeader): Uint8Array[] {
  return [encodeSimpleReply({ errno: 0, cookie })];
}

/** Data of a client that has no structured replies. */
export function simpleReadReply({ cookie }: RequestHeader, bytes: Uint8Array): Uint8Array[] {
  return [encodeSimpleReply({ errno: 0, cookie }), bytes];
}

/** Data as chunks, the last one with DONE. */
export function readReply({ cookie }: RequestHeader, pieces: readonly ReadPiece[]): Uint8Array[] {
  if (pieces.length === 0) return [chunk(cookie, CHUNK.none, 0, true)];
  return pieces.flatMap((piece, index) => {
    const done = index === pieces.length - 1;
    const place = pack([64, piece.offsetBytes]);
    return piece.kind === "data"
      ? [pack(chunk(cookie, CHUNK.data, 8 + piece.bytes.length, done), place), piece.bytes]
      : [pack(chunk(cookie, CHUNK.hole, 12, done), place, [32, piece.lengthBytes])];
  });
}

/** Chunks that answer a block status request. */
export function statusReply({ cookie }: RequestHeader, statuses: readonly Status[]): Uint8Array[] {
  const payload = encodeStatusPayload(ALLOCATION_CONTEXT_ID, statuses);
  return [chunk(cookie, CHUNK.blockStatus, payload.length, true), payload];
}

/** The answer to a request that failed, in the form that was negotiated. */
export function failureReply(
  { cookie, type }: RequestHeader,
  errno: number,
  message: string,
  structured: boolean,
): Uint8Array[] {
  const needsChunk = type === COMMAND.read || type === COMMAND.blockStatus || message !== "";
  if (!structured || !needsChunk) return [encodeSimpleReply({ errno, cookie })];
  const payload = encodeErrorPayload({ errno, message, offsetBytes: null });
  return [chunk(cookie, CHUNK.error, payload.length, true), payload];
}

function chunk(cookie: bigint, type: number, lengthBytes: number, done: boolean): Uint8Array {
  return encodeChunkHeader({ flags: done ? CHUNK_FLAG_DONE : 0, type, cookie, lengthBytes });
}
