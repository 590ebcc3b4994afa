/**
 * What the gateway and its network process say to each other, over the process's standard input and
 * output: `{ u32 length, u8 type, length bytes }`, big-endian, in both directions.
 */
export const NET_MESSAGES = {
  /** An IP packet: to be written to the TUN device, or read from it. */
  packet: 1,
  /**
   * To the process `{ i32 index of the device, Ethernet frame }`, to be sent as it is; from it an
   * Ethernet frame that was heard.
   */
  frame: 2,
  /** UTF-8 JSON: a `NetSetup`, answered by a `NetAnswer`. */
  text: 3,
  /** `{ i32 index of the device }`: answers of neighbours are to be heard there from now on. */
  listen: 4,
} as const;

export interface NetSetup {
  /** The TUN device to make; null: frames are sent, and that is all. */
  readonly tun: string | null;
}

export type NetAnswer =
  | { readonly event: "ready" }
  | { readonly event: "failed"; readonly message: string };

const HEADER_BYTES = 5;
/** Above every packet and every line that is sent. */
const MESSAGE_BYTES_MAX = 65_600;

export function netMessage(type: number, body: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES + body.length);
  writeHeader(bytes, 0, type, body.length);
  bytes.set(body, HEADER_BYTES);
  return bytes;
}

/** Writes a header where a body was placed already. @returns bytes of the whole message */
export function writeHeader(
  into: Uint8Array,
  offset: number,
  type: number,
  bodyBytes: number,
): number {
  new DataView(into.buffer, into.byteOffset).setUint32(offset, bodyBytes);
  into[offset + 4] = type;
  return HEADER_BYTES + bodyBytes;
}
export { HEADER_BYTES as NET_HEADER_BYTES };

/** Takes whole messages out of what arrives in any pieces. */
export class NetMessages {
  #rest: Uint8Array = new Uint8Array(0);

  /**
   * @param chunk may be reused afterwards
   * @param heard is given each whole message; its body is valid until it returns
   * @throws {RangeError} for a length that no message has
   */
  add(chunk: Uint8Array, heard: (type: number, body: Uint8Array) => void): void {
    let bytes = chunk;
    if (this.#rest.length > 0) {
      bytes = new Uint8Array(this.#rest.length + chunk.length);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.length);
    }
    let at = 0;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    while (bytes.length - at >= HEADER_BYTES) {
      const bodyBytes = view.getUint32(at);
      if (bodyBytes > MESSAGE_BYTES_MAX) throw new RangeError(`a message of ${bodyBytes} bytes`);
      const end = at + HEADER_BYTES + bodyBytes;
      if (end > bytes.length) break;
      heard(bytes[at + 4], bytes.subarray(at + HEADER_BYTES, end));
      at = end;
    }
    this.#rest = bytes.slice(at);
  }
}
