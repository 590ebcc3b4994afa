import { ENDED_STATES, type MigrationReport } from "../migration/report.ts";
import { ACTIONS } from "./actions.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import { exitCodeOfState } from "./exit_codes.ts";
import { watchToEnd } from "./migrate.ts";
import { progressLine, summary } from "./progress.ts";
import { questionLines } from "./wishes_shown.ts";

/** `causeway cancel`, `switchover`, `hold` and `rollback`. */
export function act(
  cli: Cli,
  action: keyof typeof ACTIONS,
  id: string,
  options: { readonly watch?: boolean },
): Promise<number> {
  return withClient(cli, async (client) => {
    const path = `/v1/migrations/${encodeURIComponent(id)}/${action}`;
    const report = await client.post<MigrationReport>(path);
    if (options.watch) return await watchToEnd(cli, client, id, ACTIONS[action]);
    answer(cli, report, () => lines(report));
    return exitCodeOfState(report.state, ACTIONS[action]);
  });
}

/** Options of `causeway adjudicate`. */
export interface AdjudicateArguments {
  readonly owner: string;
  readonly reason: string;
  readonly force?: boolean;
}

/** `causeway adjudicate`: an operator's word on who runs a machine in doubt. */
export function adjudicate(
  cli: Cli,
  id: string,
  decision: AdjudicateArguments,
): Promise<number> {
  return withClient(cli, async (client) => {
    const path = `/v1/migrations/${encodeURIComponent(id)}/adjudicate`;
    const report = await client.post<MigrationReport>(path, { by: "command line", ...decision });
    answer(cli, report, () => lines(report));
    return 0;
  });
}

function lines(report: MigrationReport): string[] {
  if (ENDED_STATES.includes(report.state)) return summary(report);
  return [progressLine(report, null), ...questionLines(report)];
}
