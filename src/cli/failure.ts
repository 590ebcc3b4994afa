import { GatewayError } from "../core/errors.ts";
import type { Cli } from "./cli.ts";
import { EXIT, exitCodeOfError } from "./exit_codes.ts";

/**
 * Says what went wrong and what to try, on standard error; with `--json` also as
 * `{ "error": { code, message, hint } }` on standard output. Never a stack.
 *
 * @returns the exit code
 */
export function reportFailure(cli: Pick<Cli, "terminal" | "json">, thrown: unknown): number {
  const error = noteFailure(cli, thrown);
  if (cli.json) cli.terminal.print(JSON.stringify({ error: error.toJSON() }));
  return exitCodeOfFailure(thrown);
}

/** The part of it for people. @returns what was thrown, in the form of every failure */
export function noteFailure(cli: Pick<Cli, "terminal">, thrown: unknown): GatewayError {
  const error = thrown instanceof GatewayError ? thrown : asFailure(thrown);
  cli.terminal.note(error.message);
  if (error.hint !== "") cli.terminal.note(`  ${error.hint}`);
  return error;
}

/** The exit code of a command that ended with it. */
export function exitCodeOfFailure(thrown: unknown): number {
  return thrown instanceof GatewayError ? exitCodeOfError(thrown.code) : EXIT.failed;
}

/** What is wrong with the arguments, by the words of the parser, which has told people already. */
export function usageFailure(parserMessage: string): GatewayError {
  const reason = parserMessage === "(outputHelp)"
    ? "none is given"
    : parserMessage.replace(/^error: /, "").replaceAll(/\s+/g, " ");
  return new GatewayError("request_invalid", `Cannot run the command: ${reason}`, {
    hint: "`causeway --help` lists the commands, and `causeway COMMAND --help` their options",
  });
}

function asFailure(thrown: unknown): GatewayError {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new GatewayError("internal", `Cannot do this: ${message}`, {
    hint: "If this looks like a defect, report it with the command that you gave",
    cause: thrown,
  });
}
