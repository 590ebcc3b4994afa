/**
 * Writes docs/errors.md from the table in src/core/error_codes.ts:
 *
 *     deno run --allow-read --allow-write docs/render_errors.ts
 */
import { ERRORS } from "../src/core/error_codes.ts";
import type { ErrorEntry } from "../src/core/errors.ts";

/** Where the page lies, for this script and for the test that compares. */
export const ERRORS_PAGE = new URL("./errors.md", import.meta.url);

const INTRODUCTION =
  `<!-- Rendered by docs/render_errors.ts from src/core/error_codes.ts; edit that table. -->

# Errors

Every expected failure has a code that stays as it is. An error carries three things: the \`code\`, a
\`message\` that says what could not be done and why, and a \`hint\` with the next thing to try. They
are the same in the API's answers, in a migration's report, in the ledger's audit and between the
gateways.

- **Before**: the preflight found it. Nothing was touched at either site, no migration exists; the
  command line exits with 6.
- **Retry**: \`reconnect\` means that the same request may succeed once the link or the peer is back;
  \`never\` that something has to change first.
- A \`TypeError\`, \`RangeError\` or \`InvariantError\` in a log is no expected failure but a defect;
  where one reaches an answer it is \`internal\`.
`;

/** The page as it has to be, in the form that `deno fmt` leaves alone. */
export function renderErrors(errors: Record<string, ErrorEntry>): string {
  const rows = Object.entries(errors).map(([code, entry]) => [
    `\`${code}\``,
    String(entry.httpStatus),
    entry.retry,
    entry.preflight === true ? "yes" : "",
    entry.meaning,
  ]);
  return `${INTRODUCTION}\n${table(["Code", "HTTP", "Retry", "Before", "Meaning"], rows)}`;
}

function table(head: readonly string[], rows: readonly string[][]): string {
  const widths = head.map((title, at) =>
    Math.max(title.length, ...rows.map((row) => row[at].length))
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at])).join(" | ")} |\n`;
  return line(head) + line(widths.map((width) => "-".repeat(width))) + rows.map(line).join("");
}

if (import.meta.main) await Deno.writeTextFile(ERRORS_PAGE, renderErrors(ERRORS));
