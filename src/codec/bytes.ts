import { GatewayError } from "../core/errors.ts";

/** A batch that the peer encoded wrongly, or that does not fit the machine it is meant for. */
export function batchInvalid(what: string, cause?: unknown): GatewayError {
  return new GatewayError("batch_invalid", `Cannot decode a batch: ${what}`, {
    hint: "Check that both gateways run the same version",
    cause,
  });
}

/** Collects bytes in a buffer that grows and is used again after `clear`. */
export class ByteSink {
  #bytes: Uint8Array;
  #lengthBytes = 0;

  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** What was collected: a view, valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#lengthBytes);
  }

  clear(): void {
    this.#lengthBytes = 0;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#lengthBytes++] = value;
  }

  /** LEB128 of an integer from 0 to 2^53 - 1. */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new RangeError(`A varint takes a safe integer from 0, got ${value}`);
    }
    this.#reserve(8);
    while (value >= 0x80) {
      this.#bytes[this.#lengthBytes++] = 0x80 | (value % 0x80);
      value = Math.floor(value / 0x80);
    }
    this.#bytes[this.#lengthBytes++] = value;
  }

  /** Small distances to either side become small numbers: 0, -1, 1, -2, 2, … */
  signed(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value);
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.byteLength);
    this.#bytes.set(bytes, this.#lengthBytes);
    this.#lengthBytes += bytes.byteLength;
  }

  /** Length, then UTF-8. */
  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.varint(bytes.byteLength);
    this.raw(bytes);
  }

  #reserve(bytes: number): void {
    const needed = this.#lengthBytes + bytes;
    if (needed <= this.#bytes.byteLength) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.byteLength));
    grown.set(this.view());
    this.#bytes = grown;
  }
}

/** Reads what a `ByteSink` wrote; everything unexpected is `batch_invalid`. */
export class ByteSource {
  #at = 0;

  constructor(readonly bytes: Uint8Array) {}

  get remaining(): number {
    return this.bytes.byteLength - this.#at;
  }

  u8(): number {
    if (this.remaining === 0) throw batchInvalid("it ends inside a field");
    return this.bytes[this.#at++];
  }

  varint(): number {
    let value = 0;
    for (let scale = 1;; scale *= 0x80) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (!Number.isSafeInteger(value)) throw batchInvalid("a number exceeds 2^53 - 1");
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) throw batchInvalid("a number is longer than needed");
        return value;
      }
    }
  }

  signed(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /**
   * A count of entries that take at least `entryBytesMin` each: refused before it sizes anything
   * when that many cannot follow.
   */
  count(entryBytesMin: number, what: string): number {
    const count = this.varint();
    if (count * entryBytesMin > this.remaining) {
      throw batchInvalid(`it cannot hold ${count} ${what}`);
    }
    return count;
  }

  /** A view of the next bytes, not a copy. */
  raw(lengthBytes: number): Uint8Array {
    if (lengthBytes > this.remaining) throw batchInvalid("it ends inside a field");
    return this.bytes.subarray(this.#at, this.#at += lengthBytes);
  }

  /** A view of everything that is left; nothing is used up. */
  rest(): Uint8Array {
    return this.bytes.subarray(this.#at);
  }

  text(bytesMax: number): string {
    const lengthBytes = this.varint();
    if (lengthBytes > bytesMax) throw batchInvalid(`a text of ${lengthBytes} bytes`);
    try {
      return new TextDecoder("utf-8", { fatal: true }).decode(this.raw(lengthBytes));
    } catch (cause) {
      throw cause instanceof GatewayError ? cause : batchInvalid("a text is not UTF-8", cause);
    }
  }

  /** Refuses bytes after the last field. */
  end(): void {
    if (this.remaining !== 0) throw batchInvalid(`${this.remaining} bytes follow its end`);
  }
}
