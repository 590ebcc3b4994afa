import type { MigrationReport } from "../migration/report.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import type { ApiClient } from "./client.ts";
import { exitCodeOfState } from "./exit_codes.ts";
import { StopSignal } from "./signals.ts";
import { watch } from "./watch.ts";
import { type WishArguments, wishesOf } from "./wishes.ts";

/** Options of `causeway migrate`. */
export interface MigrateArguments extends WishArguments {
  readonly to: string;
  readonly strategy?: string;
  readonly handover?: string;
  readonly keepSource?: boolean;
  readonly watch?: boolean;
}

/** `causeway migrate`: starts a move, and with `watch` shows it until it has ended. */
export async function migrate(
  cli: Cli,
  guest: string,
  options: MigrateArguments,
): Promise<number> {
  const { to, strategy, handover, keepSource } = options;
  const body = { guest, to, strategy, handover, keepSource, ...await wishesOf(options) };
  return await withClient(cli, async (client) => {
    const report = await client.post<MigrationReport>("/v1/migrations", body);
    if (options.watch) return await watchToEnd(cli, client, report.id);
    answer(cli, report, () => [report.id]);
    return 0;
  });
}

/** Shows a migration that is under way. Ctrl-C ends the showing and nothing else. */
export async function watchToEnd(
  cli: Cli,
  client: ApiClient,
  id: string,
  wanted: Parameters<typeof exitCodeOfState>[1] = [],
): Promise<number> {
  using stop = new StopSignal(["SIGINT"]);
  const { clock, terminal, json: quiet } = cli;
  const report = await watch(client, id, { clock, terminal, quiet, stop: stop.signal });
  if (report === null) {
    terminal.note(`Watching ended; the move goes on. Cancel it with: causeway cancel ${id}`);
    return 0;
  }
  if (report.error) {
    terminal.note(report.error.message);
    if (report.error.hint) terminal.note(`  ${report.error.hint}`);
  }
  if (cli.json) terminal.print(JSON.stringify(report));
  return exitCodeOfState(report.state, wanted);
}
