import type { Clock } from "../core/clock.ts";
import { ApiClient } from "./client.ts";
import type { Terminal } from "./terminal.ts";

/** What every command is given beside its own arguments. */
export interface Cli {
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** Answers are one line of JSON. */
  readonly json: boolean;
  readonly configPath: string;
  /** File with the token to use; undefined: the one that the configuration names. */
  readonly tokenFile?: string;
}

/** Asks the local gateway and lets go of it. */
export async function withClient<T>(
  cli: Cli,
  action: (client: ApiClient) => Promise<T>,
): Promise<T> {
  using client = await ApiClient.open(cli.configPath, cli.tokenFile);
  return await action(client);
}

/** The answer as one line of JSON, or as lines for people. */
export function answer(cli: Cli, value: unknown, lines: () => readonly string[]): void {
  if (cli.json) cli.terminal.print(JSON.stringify(value));
  else for (const line of lines()) cli.terminal.print(line);
}
