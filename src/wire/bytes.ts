import { GatewayError } from "../core/errors.ts";

/** A violation of the protocol by the peer. */
export function frameInvalid(what: string): GatewayError {
  return new GatewayError("frame_invalid", `Cannot accept a record from the peer: ${what}`, {
    hint: "Check that both gateways run the same version",
  });
}

/** Big-endian writer over a buffer of known size. */
export class ByteWriter {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(lengthBytes: number) {
    this.bytes = new Uint8Array(lengthBytes);
    this.#view = new DataView(this.bytes.buffer);
  }

  u8(value: number): this {
    this.#view.setUint8(this.#at, value);
    this.#at += 1;
    return this;
  }

  u16(value: number): this {
    this.#view.setUint16(this.#at, value);
    this.#at += 2;
    return this;
  }

  u32(value: number): this {
    this.#view.setUint32(this.#at, value);
    this.#at += 4;
    return this;
  }

  u64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`A u64 field takes a safe integer, got ${value}`);
    }
    return this.u32(Math.floor(value / 0x1_0000_0000)).u32(value % 0x1_0000_0000);
  }

  raw(bytes: Uint8Array): this {
    this.bytes.set(bytes, this.#at);
    this.#at += bytes.byteLength;
    return this;
  }
}

/** Big-endian reader that refuses to read past the end and to return unsafe integers. */
export class ByteReader {
  readonly #view: DataView;
  #at = 0;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get remaining(): number {
    return this.bytes.byteLength - this.#at;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** @throws {GatewayError} `frame_invalid` above 2^53 - 1 */
  u64(): number {
    const value = this.u32() * 0x1_0000_0000 + this.u32();
    if (!Number.isSafeInteger(value)) throw frameInvalid("a number exceeds 2^53 - 1");
    return value;
  }

  /** A view of the next bytes, not a copy. */
  raw(lengthBytes: number): Uint8Array {
    const at = this.#take(lengthBytes);
    return this.bytes.subarray(at, at + lengthBytes);
  }

  /** Refuses bytes after the last field. */
  end(): void {
    if (this.remaining !== 0) throw frameInvalid(`${this.remaining} bytes follow its end`);
  }

  #take(lengthBytes: number): number {
    if (lengthBytes > this.remaining) throw frameInvalid("it ends inside a field");
    const at = this.#at;
    this.#at += lengthBytes;
    return at;
  }
}
