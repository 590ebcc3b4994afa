/**
 * Where a JSON text breaks, as an offset; `null` when it is valid (RFC 8259).
 *
 * The runtime's own message names a position for some errors and none for others, so the line of a
 * mistake in a hand-written file is found here.
 */
export function jsonErrorOffset(text: string): number | null {
  const scanner = new Scanner(text);
  if (!scanner.value()) return scanner.offset;
  scanner.space();
  return scanner.offset === text.length ? null : scanner.offset;
}

/** Line and column of an offset, both from 1. */
export function lineAndColumn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset);
  const lastBreak = before.lastIndexOf("\n");
  return { line: before.split("\n").length, column: offset - lastBreak };
}

const SPACE = /[ \t\n\r]*/y;
// deno-lint-ignore no-control-regex -- RFC 8259 section 7 forbids exactly these characters
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const LITERAL = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y;

/** Each method moves `offset` past what it is named after, or leaves it where the text breaks. */
class Scanner {
  offset = 0;

  constructor(readonly text: string) {}

  space(): void {
    this.#take(SPACE);
  }

  value(): boolean {
    this.space();
    if (this.#char("{")) return this.#rest("}", () => this.#member());
    if (this.#char("[")) return this.#rest("]", () => this.value());
    return this.#take(STRING) || this.#take(LITERAL);
  }

  #member(): boolean {
    this.space();
    if (!this.#take(STRING)) return false;
    this.space();
    return this.#char(":") && this.value();
  }

  #rest(close: string, element: () => boolean): boolean {
    this.space();
    if (this.#char(close)) return true;
    for (;;) {
      if (!element()) return false;
      this.space();
      if (this.#char(close)) return true;
      if (!this.#char(",")) return false;
    }
  }

  #char(char: string): boolean {
    if (this.text[this.offset] !== char) return false;
    this.offset++;
    return true;
  }

  #take(pattern: RegExp): boolean {
    pattern.lastIndex = this.offset;
    if (!pattern.test(this.text)) return false;
    this.offset = pattern.lastIndex;
    return true;
  }
}
