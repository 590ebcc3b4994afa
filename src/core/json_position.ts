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

  /** Without recursion: a text may nest as deep as it is long. */
  value(): boolean {
    /** What closes the arrays and objects that are open. */
    const open: ("]" | "}")[] = [];
    for (;;) {
      this.space();
      const closing = this.#char("{") ? "}" : this.#char("[") ? "]" : null;
      if (closing === null) {
        if (!this.#take(STRING) && !this.#take(LITERAL)) return false;
      } else {
        this.space();
        if (!this.#char(closing)) {
          open.push(closing);
          if (closing === "}" && !this.#name()) return false;
          continue;
        }
      }
      // A value has ended, and with it perhaps those that it was the last one of.
      for (;;) {
        const last = open.at(-1);
        if (last === undefined) return true;
        this.space();
        if (!this.#char(last)) break;
        open.pop();
      }
      if (!this.#char(",")) return false;
      if (open.at(-1) === "}" && !this.#name()) return false;
    }
  }

  /** The name of a member with its colon. */
  #name(): boolean {
    this.space();
    if (!this.#take(STRING)) return false;
    this.space();
    return this.#char(":");
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
