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
  #parts: Uint8Array[] = [];
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
        if (to > from) this.#hold(bytes.slice(from));
        return lines;
      }
      const line = this.#take(bytes.subarray(from, to));
      if (line !== "") lines.push(line);
      from = newline + 1;
    }
  }

  #hold(part: Uint8Array): void {
    this.#parts.push(part);
    this.#heldBytes += part.length;
  }

  #take(last: Uint8Array): string {
    let whole = last;
    if (this.#parts.length > 0) {
      whole = new Uint8Array(this.#heldBytes + last.length);
      let at = 0;
      for (const part of [...this.#parts, last]) {
        whole.set(part, at);
        at += part.length;
      }
      this.#parts = [];
      this.#heldBytes = 0;
    }
    try {
      return this.#text.decode(whole).trim();
    } catch (cause) {
      throw qmpProtocolError("a line is not UTF-8", cause);
    }
  }
}
