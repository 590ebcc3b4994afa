/** Where a command writes; tests give their own. */
export interface Terminal {
  /** One line of the answer, to standard output. */
  print(line: string): void;
  /** One line about the work, to standard error. */
  note(line: string): void;
  /** Replaces the last `redraw` on standard output; null where that is no terminal. */
  readonly redraw: ((text: string) => void) | null;
  /** Width of the terminal in characters. */
  columns(): number;
}

const COLUMNS_DEFAULT = 80;
const CLEAR_LINE = "\r\x1b[K";

/** The process's own terminal. */
export function systemTerminal(): Terminal {
  const encoder = new TextEncoder();
  let drawn = false;
  const settle = () => {
    if (drawn) Deno.stdout.writeSync(encoder.encode("\n"));
    drawn = false;
  };
  return {
    print(line) {
      settle();
      console.log(line);
    },
    note(line) {
      settle();
      console.error(line);
    },
    redraw: Deno.stdout.isTerminal()
      ? (text) => {
        Deno.stdout.writeSync(encoder.encode(CLEAR_LINE + text));
        drawn = true;
      }
      : null,
    columns() {
      try {
        return Deno.consoleSize().columns || COLUMNS_DEFAULT;
      } catch {
        // No terminal at all.
        return COLUMNS_DEFAULT;
      }
    },
  };
}
