import { protocolFailure } from "./failure.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** One field of a message: number of bits and value, text, or bytes as they are. */
export type Field =
  | readonly [16 | 32, number]
  | readonly [64, number | bigint]
  | string
  | Uint8Array;

/** Packs big-endian fields; for the handshake, where clarity is worth more than speed. */
export function pack(...fields: readonly Field[]): Uint8Array {
  const parts = fields.map((field) => {
    if (typeof field === "string") return encoder.encode(field);
    if (field instanceof Uint8Array) return field;
    const [bits, value] = field;
    const part = new Uint8Array(bits / 8);
    const view = new DataView(part.buffer);
    if (bits === 64) view.setBigUint64(0, BigInt(value));
    else if (bits === 32) view.setUint32(0, Number(value));
    else view.setUint16(0, Number(value));
    return part;
  });
  const packed = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    packed.set(part, at);
    at += part.length;
  }
  return packed;
}

/** A string as most of the protocol has it: be32 length, then UTF-8. */
export function packString(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  return pack([32, bytes.length], bytes);
}

/** Joins two 32-bit halves; a peer's value above 2^53-1 is refused, nothing here is that large. */
export function joinU64(high: number, low: number, what: string): number {
  const value = high * 0x1_0000_0000 + low;
  if (!Number.isSafeInteger(value)) {
    throw protocolFailure(`${what} is ${(BigInt(high) << 32n) + BigInt(low)}, beyond 2^53`);
  }
  return value;
}

/** Takes big-endian fields off a complete message; what is missing is an `nbd_protocol` error. */
export class Fields {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at = 0;

  /** @param what names the message in errors */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get remainingBytes(): number {
    return this.#bytes.length - this.#at;
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /** A 64-bit value that must be a safe integer. */
  u64(): number {
    const at = this.#advance(8);
    return joinU64(this.#view.getUint32(at), this.#view.getUint32(at + 4), `${this.#what} field`);
  }

  magic(): bigint {
    return this.#view.getBigUint64(this.#advance(8));
  }

  /** UTF-8 text; `lengthBytes` was read from the peer and is checked against `maxBytes` here. */
  text(lengthBytes: number, maxBytes: number): string {
    if (lengthBytes > maxBytes) {
      throw protocolFailure(
        `${this.#what} has a string of ${lengthBytes} bytes, limit is ${maxBytes}`,
      );
    }
    const at = this.#advance(lengthBytes);
    try {
      return decoder.decode(this.#bytes.slice(at, at + lengthBytes));
    } catch {
      throw protocolFailure(`${this.#what} has a string that is not UTF-8`);
    }
  }

  /** Text without a length of its own. */
  rest(maxBytes: number): string {
    return this.text(this.remainingBytes, maxBytes);
  }

  end(): void {
    if (this.remainingBytes > 0) {
      throw protocolFailure(`${this.#what} is ${this.remainingBytes} bytes too long`);
    }
  }

  #advance(lengthBytes: number): number {
    if (lengthBytes > this.remainingBytes) {
      throw protocolFailure(
        `${this.#what} ends after ${this.#bytes.length} bytes, ` +
          `${lengthBytes - this.remainingBytes} more were announced`,
      );
    }
    const at = this.#at;
    this.#at += lengthBytes;
    return at;
  }
}
