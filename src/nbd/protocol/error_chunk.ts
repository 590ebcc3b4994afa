import { Fields, pack } from "./bytes.ts";
import { CHUNK, MAX_STRING_BYTES } from "./constants.ts";
import { protocolFailure } from "./failure.ts";

/** A request that the server could not carry out. */
export interface RequestFailure {
  readonly errno: number;
  /** The server's own words, often empty. */
  readonly message: string;
  /** Where it went wrong, when the server says so. */
  readonly offsetBytes: number | null;
}

/** `be32 errno, be16 n, message`, and `be64 offset` for the chunk type with offset. */
export function encodeErrorPayload(failure: RequestFailure): Uint8Array {
  const message = new TextEncoder().encode(failure.message).subarray(0, MAX_STRING_BYTES);
  const head = pack([32, failure.errno], [16, message.length], message);
  return failure.offsetBytes === null ? head : pack(head, [64, failure.offsetBytes]);
}

/** @param type chunk type; unknown error types begin like the known ones */
export function decodeErrorPayload(type: number, payload: Uint8Array): RequestFailure {
  const fields = new Fields(payload, "error chunk");
  const errno = fields.u32();
  if (errno === 0) throw protocolFailure("an error chunk says that there is no error");
  const message = fields.text(fields.u16(), MAX_STRING_BYTES);
  const offsetBytes = type === CHUNK.errorOffset ? fields.u64() : null;
  if (type === CHUNK.error || type === CHUNK.errorOffset) fields.end();
  return { errno, message, offsetBytes };
}
