import { textOf } from "./framing.ts";

/** Thrown by `Cursor` and caught by `attempt` only: the bytes at hand end inside the record. */
class Incomplete {
  constructor(readonly bytesNeeded: number) {}
}

/** Thrown by `Cursor` and caught by `attempt` only: this is not what the reader knows. */
class Unknown {
  constructor(readonly reason: string) {}
}

/** How an attempt to parse one record ended. */
export type Attempt<T> =
  | { readonly kind: "complete"; readonly value: T; readonly bytesUsed: number }
  /** `bytesNeeded` counts from the record's first byte and never reaches past its end. */
  | { readonly kind: "incomplete"; readonly bytesNeeded: number }
  | { readonly kind: "unknown"; readonly reason: string };

/**
 * Reads big-endian fields of one record.
 *
 * Asking field by field, and for the declared length only, is what keeps `bytesNeeded` inside the
 * record; a reader that holds exactly that many bytes never swallows the start of the next one.
 */
export class Cursor {
  private position: number;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly view: DataView,
    private readonly start: number,
  ) {
    this.position = start;
  }

  get bytesUsed(): number {
    return this.position - this.start;
  }

  private advance(byteCount: number): number {
    const at = this.position;
    if (at + byteCount > this.bytes.length) throw new Incomplete(at + byteCount - this.start);
    this.position = at + byteCount;
    return at;
  }

  u8(): number {
    return this.bytes[this.advance(1)];
  }

  be16(): number {
    return this.view.getUint16(this.advance(2));
  }

  be32(): number {
    return this.view.getUint32(this.advance(4));
  }

  /** A 64-bit field; above the safe integers it is unknown rather than rounded. */
  be64(): number {
    const at = this.advance(8);
    const high = this.view.getUint32(at);
    if (high > 0x1fffff) this.unknown("a 64-bit field exceeds the safe integers");
    return high * 2 ** 32 + this.view.getUint32(at + 4);
  }

  /** First byte of what follows, without taking it. */
  peekU8(): number {
    const at = this.advance(1);
    this.position = at;
    return this.bytes[at];
  }

  /** The next eight bytes as a number, without taking them. */
  peekBe64(): number {
    const value = this.be64();
    this.position -= 8;
    return value;
  }

  skip(byteCount: number): void {
    this.advance(byteCount);
  }

  text(byteCount: number): string {
    const at = this.advance(byteCount);
    return textOf(this.bytes.subarray(at, at + byteCount));
  }

  /**
   * A name: one length byte, never 0, then the name.
   *
   * @param bytesBehind what certainly follows; asking for both at once saves parsing a long list
   *   from its start once more
   */
  name(bytesBehind = 0): string {
    const byteCount = this.u8();
    if (byteCount === 0) this.unknown("a name is empty");
    this.position = this.advance(byteCount + bytesBehind);
    return this.text(byteCount);
  }

  unknown(reason: string): never {
    throw new Unknown(reason);
  }
}

/** Parses one record at `at`; only the two verdicts of a cursor are caught. */
export function attempt<T>(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  parse: (cursor: Cursor) => T,
): Attempt<T> {
  const cursor = new Cursor(bytes, view, at);
  try {
    const value = parse(cursor);
    return { kind: "complete", value, bytesUsed: cursor.bytesUsed };
  } catch (thrown) {
    if (thrown instanceof Incomplete) {
      return { kind: "incomplete", bytesNeeded: thrown.bytesNeeded };
    }
    if (thrown instanceof Unknown) return { kind: "unknown", reason: thrown.reason };
    throw thrown;
  }
}
