import { nameBytes, textOf } from "./framing.ts";

/**
 * Messages from the destination QEMU to the source QEMU, on the main channel's other direction.
 *
 * `be16 type, be16 length, length bytes`, no magic. Source: QEMU migration/migration.c
 * (`source_return_path_thread`), seen on 7.2.22 and 10.0.2.
 */
export const RETURN_PATH = {
  shut: 1,
  pong: 2,
  requestPagesById: 3,
  requestPages: 4,
  receivedBitmap: 5,
  resumeAck: 6,
  switchoverAck: 7,
} as const;

/** Header and the longest length its 16 bits can say; the parser's whole buffer. */
export const MAX_RETURN_PATH_BYTES = 4 + 0xffff;

/** What a message says. */
export type ReturnPathContent =
  /** Last message; the source completes only after it. `status` 0 is success. */
  | { readonly kind: "shut"; readonly status: number }
  | { readonly kind: "pong"; readonly value: number }
  /** `block` is null where the message means the block named last; the parser fills it in. */
  | {
    readonly kind: "requestPages";
    readonly block: string | null;
    readonly offsetBytes: bigint;
    readonly lengthBytes: number;
  }
  /** Followed by `bitmapBytes` that the length does not count. */
  | { readonly kind: "receivedBitmap"; readonly block: string }
  | { readonly kind: "resumeAck"; readonly value: number }
  /** The destination's devices agree to the switch (QEMU 8.1 and later). */
  | { readonly kind: "switchoverAck" };

/**
 * A parsed message; `bytes` are its own copy of what came, so that relaying `bytes` of every
 * message in order relays the whole path. `unknown` has a type or length that is not listed here.
 */
export type ReturnPathMessage =
  & { readonly bytes: Uint8Array }
  & (
    | ReturnPathContent
    | { readonly kind: "unknown"; readonly type: number }
    /** A piece of what follows `receivedBitmap`: its size, the bitmap, the end mark. */
    | { readonly kind: "bitmapBytes" }
  );

/** One return path being read. */
export interface ReturnPathParser {
  /** Takes the next bytes, cut anywhere; `chunk` may be reused once this returns. */
  push(chunk: Uint8Array): ReturnPathMessage[];
  /** Bytes of an incomplete message, a copy; what is left to relay when the path ends. */
  pendingBytes(): Uint8Array;
}

/**
 * Cuts a return path into messages without holding anything back but an incomplete one. Nothing in
 * it is an error: what is not known has a length, and is relayed.
 */
export function createReturnPathParser(): ReturnPathParser {
  return new Parser();
}

class Parser implements ReturnPathParser {
  private pending = new Uint8Array(0);
  private lastBlock: string | null = null;
  /** Of an uncounted bitmap: "size" before its be64 size is known, then the bytes still due. */
  private bitmapLeft: "size" | bigint = 0n;

  push(chunk: Uint8Array): ReturnPathMessage[] {
    const bytes = new Uint8Array(this.pending.length + chunk.length);
    bytes.set(this.pending);
    bytes.set(chunk, this.pending.length);
    const view = new DataView(bytes.buffer);
    const messages: ReturnPathMessage[] = [];
    let at = 0;
    while (at < bytes.length) {
      const rest = bytes.length - at;
      let byteCount: number;
      if (this.bitmapLeft === "size") {
        if (rest < (byteCount = 8)) break;
        // The bitmap, then a be64 end mark.
        this.bitmapLeft = view.getBigUint64(at) + 8n;
        messages.push({ kind: "bitmapBytes", bytes: bytes.slice(at, at + 8) });
      } else if (this.bitmapLeft > 0n) {
        byteCount = this.bitmapLeft < BigInt(rest) ? Number(this.bitmapLeft) : rest;
        this.bitmapLeft -= BigInt(byteCount);
        messages.push({ kind: "bitmapBytes", bytes: bytes.slice(at, at + byteCount) });
      } else {
        if (rest < 4 || rest < (byteCount = 4 + view.getUint16(at + 2))) break;
        messages.push(this.message(bytes.slice(at, at + byteCount)));
      }
      at += byteCount;
    }
    this.pending = bytes.slice(at);
    return messages;
  }

  pendingBytes(): Uint8Array {
    return this.pending.slice();
  }

  private message(bytes: Uint8Array): ReturnPathMessage {
    const view = new DataView(bytes.buffer);
    const type = view.getUint16(0);
    const length = bytes.length - 4;
    const be32 = () => view.getUint32(4);
    if (type === RETURN_PATH.shut && length === 4) return { kind: "shut", status: be32(), bytes };
    if (type === RETURN_PATH.pong && length === 4) return { kind: "pong", value: be32(), bytes };
    if (type === RETURN_PATH.resumeAck && length === 4) {
      return { kind: "resumeAck", value: be32(), bytes };
    }
    if (type === RETURN_PATH.switchoverAck && length === 0) return { kind: "switchoverAck", bytes };
    if (type === RETURN_PATH.receivedBitmap && length > 1 && bytes[4] === length - 1) {
      this.bitmapLeft = "size";
      return { kind: "receivedBitmap", block: nameAt(bytes, 4), bytes };
    }
    const named = type === RETURN_PATH.requestPagesById && length > 13 &&
      bytes[16] === length - 13;
    if (named || (type === RETURN_PATH.requestPages && length === 12)) {
      if (named) this.lastBlock = nameAt(bytes, 16);
      return {
        kind: "requestPages",
        block: this.lastBlock,
        offsetBytes: view.getBigUint64(4),
        lengthBytes: view.getUint32(12),
        bytes,
      };
    }
    return { kind: "unknown", type, bytes };
  }
}

/** Bytes of one message; `requestPages` with a block names it, without one it means the last. */
export function encodeReturnPath(content: ReturnPathContent): Uint8Array {
  switch (content.kind) {
    case "shut":
      return message(RETURN_PATH.shut, be32(content.status));
    case "pong":
      return message(RETURN_PATH.pong, be32(content.value));
    case "resumeAck":
      return message(RETURN_PATH.resumeAck, be32(content.value));
    case "switchoverAck":
      return message(RETURN_PATH.switchoverAck, new Uint8Array());
    case "receivedBitmap":
      return message(RETURN_PATH.receivedBitmap, nameBytes(content.block));
    case "requestPages": {
      const name = content.block === null ? new Uint8Array() : nameBytes(content.block);
      const body = new Uint8Array(12 + name.length);
      const view = new DataView(body.buffer);
      view.setBigUint64(0, content.offsetBytes);
      view.setUint32(8, content.lengthBytes);
      body.set(name, 12);
      const named = content.block !== null;
      return message(named ? RETURN_PATH.requestPagesById : RETURN_PATH.requestPages, body);
    }
  }
}

function message(type: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, type);
  view.setUint16(2, body.length);
  bytes.set(body, 4);
  return bytes;
}

function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function nameAt(bytes: Uint8Array, at: number): string {
  return textOf(bytes.subarray(at + 1, at + 1 + bytes[at]));
}
