import { COMMAND, COMMAND_FLAG, REQUEST_BYTES, TRANSMISSION } from "./constants.ts";
import { ERRNO } from "./errno.ts";
import { collect, fill, type Parser, skip } from "./intake.ts";
import type { AcceptedExport } from "./server_handshake.ts";
import { decodeRequest, type RequestHeader } from "./transmission.ts";

/** One request as the server has to answer it; it is valid for its export when `errno` is 0. */
export interface ServerRequest {
  readonly header: RequestHeader;
  /** What a write carries; empty for every other request and for refused writes. */
  readonly payload: Uint8Array;
  readonly errno: number;
}

const NO_PAYLOAD = new Uint8Array(0);

/**
 * Reads requests until the client says good-bye. The payload of a write that is refused is skipped
 * without being kept, so that the connection lives on.
 */
export function* receiveRequests(
  accepted: AcceptedExport,
  onRequest: (request: ServerRequest) => void,
): Parser {
  for (;;) {
    const header = decodeRequest(yield* collect(REQUEST_BYTES));
    if (header.type === COMMAND.disconnect) return;
    const errno = refusalOf(header, accepted);
    let payload = NO_PAYLOAD;
    if (header.type === COMMAND.write) {
      if (errno === 0) {
        payload = new Uint8Array(header.lengthBytes);
        yield* fill(payload);
      } else yield* skip(header.lengthBytes);
    }
    onRequest({ header, payload, errno });
  }
}

/** Flags each command may have; a command that is missing is not offered. */
const ALLOWED_FLAGS = new Map<number, number>([
  [COMMAND.read, COMMAND_FLAG.doNotFragment | COMMAND_FLAG.fua],
  [COMMAND.write, COMMAND_FLAG.fua],
  [COMMAND.flush, 0],
  [COMMAND.writeZeroes, COMMAND_FLAG.fua | COMMAND_FLAG.noHole],
  [COMMAND.blockStatus, COMMAND_FLAG.reqOne],
]);

/** The error number by the specification's rules ("Error values"), 0 where the request is valid. */
export function refusalOf(header: RequestHeader, accepted: AcceptedExport): number {
  const { type, flags, offsetBytes, lengthBytes } = header;
  const { sizeBytes, blockSizes, flags: exportFlags } = accepted.served;
  const allowed = ALLOWED_FLAGS.get(type);
  if (allowed === undefined || (flags & ~allowed) !== 0) return ERRNO.EINVAL;
  const changes = type === COMMAND.write || type === COMMAND.writeZeroes;
  if (changes && (exportFlags & TRANSMISSION.readOnly) !== 0) return ERRNO.EPERM;
  if (type === COMMAND.flush) return offsetBytes === 0 && lengthBytes === 0 ? 0 : ERRNO.EINVAL;
  if (offsetBytes + lengthBytes > sizeBytes) return changes ? ERRNO.ENOSPC : ERRNO.EINVAL;
  const carriesData = type === COMMAND.read || type === COMMAND.write;
  if (carriesData && lengthBytes > blockSizes.maxPayloadBytes) return ERRNO.EOVERFLOW;
  if (type === COMMAND.blockStatus && (lengthBytes === 0 || !accepted.allocation)) {
    return ERRNO.EINVAL;
  }
  const { minBytes } = blockSizes;
  return offsetBytes % minBytes === 0 && lengthBytes % minBytes === 0 ? 0 : ERRNO.EINVAL;
}
