import { qmpProtocolError } from "./messages.ts";

/**
 * Longest line that is accepted. `query-qmp-schema` of QEMU 10.0 has about 250 KB; a machine with
 * hundreds of block nodes stays well below.
 */
export const QMP_LINE_BYTES_MAX = 16 * 1024 * 1024;

const NEWLINE = 0x0a;

/**
 * Cuts a byte stream into lines at any chunking. Empty lines are dropped, a closing CR too.
 *
 * Pure: bytes in, lines out. Input is copied only while a line is incomplete.
 */
export class LineDecoder {
  readonly #limitBytes: number;
  readonly #text = new TextDecoder("utf-8", { fatal: true });
  /** Of an incomplete line, in one piece: pieces of a byte each would take 200 times as much. */
  #held = new Uint8Array(0);
  #heldBytes = 0;

  constructor(limitBytes = QMP_LINE_BYTES_MAX) {
    this.#limitBytes = limitBytes;
  }

  /**
   * @param bytes the next part of the stream; not kept
   * @throws {GatewayError} `qmp_protocol` for a line over the limit or bytes that are not UTF-8
   */
  push(bytes: Uint8Array): string[] {
    const lines: string[] = [];
    let from = 0;
    for (;;) {
      const newline = bytes.indexOf(NEWLINE, from);
      const to = newline < 0 ? bytes.length : newline;
      if (this.#heldBytes + (to - from) > this.#limitBytes) {
        throw qmpProtocolError(`a line is longer than ${this.#limitBytes} bytes`);
      }
      if (newline < 0) {
        if (to > from) this.#hold(bytes.subarray(from));
        return lines;
      }
      const line = this.#take(bytes.subarray(from, to));
      if (line !== "") lines.push(line);
      from = newline + 1;
    }
  }

  #hold(part: Uint8Array): void {
    const bytes = this.#heldBytes + part.length;
    if (bytes > this.#held.length) {
      const larger = new Uint8Array(Math.max(bytes, Math.min(2 * bytes, this.#limitBytes)));
      larger.set(this.#held.subarray(0, this.#heldBytes));
      this.#held = larger;
    }
    this.#held.set(part, this.#heldBytes);
    this.#heldBytes = bytes;
  }

  #take(last: Uint8Array): string {
    let whole = last;
    if (this.#heldBytes > 0) {
      this.#hold(last);
      whole = this.#held.subarray(0, this.#heldBytes);
      this.#heldBytes = 0;
      // A long line is rare: its memory is not kept for the next one.
      this.#held = new Uint8Array(0);
    }
    try {
      return this.#text.decode(whole).trim();
    } catch (cause) {
      throw qmpProtocolError("a line is not UTF-8", cause);
    }
  }
}
