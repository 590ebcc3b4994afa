import { joinU64 } from "./bytes.ts";
import {
  CHUNK_HEADER_BYTES,
  CHUNK_MAGIC,
  REQUEST_BYTES,
  REQUEST_MAGIC,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
} from "./constants.ts";
import { protocolFailure } from "./failure.ts";

/**
 * Headers of the transmission phase (NBD specification, "Transmission phase"). Cookies are chosen
 * by the client; this project's client counts, its server accepts any 64 bits and gives them back.
 */
export interface RequestHeader {
  readonly flags: number;
  readonly type: number;
  readonly cookie: bigint;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** `be32 magic be16 flags be16 type be64 cookie be64 offset be32 length` */
export function encodeRequest(header: RequestHeader): Uint8Array {
  const bytes = new Uint8Array(REQUEST_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, REQUEST_MAGIC);
  view.setUint16(4, header.flags);
  view.setUint16(6, header.type);
  view.setBigUint64(8, header.cookie);
  view.setUint32(16, Math.floor(header.offsetBytes / 0x1_0000_0000));
  view.setUint32(20, header.offsetBytes >>> 0);
  view.setUint32(24, header.lengthBytes);
  return bytes;
}

export function decodeRequest(bytes: Uint8Array): RequestHeader {
  const view = viewOf(bytes);
  if (view.getUint32(0) !== REQUEST_MAGIC) {
    throw protocolFailure("a request starts without its magic");
  }
  return {
    flags: view.getUint16(4),
    type: view.getUint16(6),
    cookie: view.getBigUint64(8),
    offsetBytes: joinU64(view.getUint32(16), view.getUint32(20), "a request's offset"),
    lengthBytes: view.getUint32(24),
  };
}

export interface SimpleReply {
  readonly kind: "simple";
  readonly errno: number;
  readonly cookie: bigint;
}

export interface ChunkHeader {
  readonly kind: "chunk";
  readonly flags: number;
  readonly type: number;
  readonly cookie: bigint;
  readonly lengthBytes: number;
}

/** `be32 magic be32 error be64 cookie` */
export function encodeSimpleReply(reply: Omit<SimpleReply, "kind">): Uint8Array {
  const bytes = new Uint8Array(SIMPLE_REPLY_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, SIMPLE_REPLY_MAGIC);
  view.setUint32(4, reply.errno);
  view.setBigUint64(8, reply.cookie);
  return bytes;
}

/** `be32 magic be16 flags be16 type be64 cookie be32 length` */
export function encodeChunkHeader(chunk: Omit<ChunkHeader, "kind">): Uint8Array {
  const bytes = new Uint8Array(CHUNK_HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, CHUNK_MAGIC);
  view.setUint16(4, chunk.flags);
  view.setUint16(6, chunk.type);
  view.setBigUint64(8, chunk.cookie);
  view.setUint32(16, chunk.lengthBytes);
  return bytes;
}

/** Bytes after the first four (the magic) of the reply that `magic` announces. */
export function replyRestBytes(magic: Uint8Array): number {
  const value = viewOf(magic).getUint32(0);
  if (value === SIMPLE_REPLY_MAGIC) return SIMPLE_REPLY_BYTES - 4;
  if (value === CHUNK_MAGIC) return CHUNK_HEADER_BYTES - 4;
  throw protocolFailure(`a reply starts with 0x${value.toString(16)}, not with its magic`);
}

/** Decodes what follows the magic; its length tells the two forms apart. */
export function decodeReplyRest(rest: Uint8Array): SimpleReply | ChunkHeader {
  const view = viewOf(rest);
  if (rest.length === SIMPLE_REPLY_BYTES - 4) {
    return { kind: "simple", errno: view.getUint32(0), cookie: view.getBigUint64(4) };
  }
  return {
    kind: "chunk",
    flags: view.getUint16(0),
    type: view.getUint16(2),
    cookie: view.getBigUint64(4),
    lengthBytes: view.getUint32(12),
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
