import { GatewayError } from "../core/errors.ts";
import type { MigrationReport, QuestionAnswer } from "../migration/report.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import { progressLine } from "./progress.ts";
import { type WishArguments, wishesOf } from "./wishes.ts";
import { questionLines, wishRows } from "./wishes_shown.ts";

/** `causeway change`: other wishes for a move that runs. */
export async function change(cli: Cli, id: string, args: WishArguments): Promise<number> {
  const changes = await wishesOf(args);
  if (Object.keys(changes).length === 0) {
    throw new GatewayError("request_invalid", `Cannot change ${id}: nothing else is wished`, {
      hint: "Give at least one option; `causeway change --help` lists them",
    });
  }
  return await withClient(cli, async (client) => {
    const report = await client.request<MigrationReport>("PATCH", pathOf(id), changes);
    answer(cli, report, () => [
      progressLine(report, null),
      ...wishRows(report).map(([name, text]) => `  ${name.padEnd(10)} ${text}`),
    ]);
    return 0;
  });
}

/** Options of `causeway answer`. */
export interface AnswerArguments {
  readonly accept?: boolean;
  readonly maxDowntime?: number;
  readonly refuse?: boolean;
}

/** `causeway answer`: what the operator says to a move's question. */
export async function answerMove(cli: Cli, id: string, args: AnswerArguments): Promise<number> {
  const said = answerOf(id, args);
  return await withClient(cli, async (client) => {
    const report = await client.post<MigrationReport>(`${pathOf(id)}/answer`, said);
    answer(cli, report, () => [progressLine(report, null), ...questionLines(report)]);
    return 0;
  });
}

function answerOf(id: string, { accept, maxDowntime, refuse }: AnswerArguments): QuestionAnswer {
  const isYes = accept === true || maxDowntime !== undefined;
  if (isYes !== (refuse === true)) {
    return maxDowntime === undefined
      ? { accept: isYes }
      : { accept: isYes, maxDowntimeMs: maxDowntime };
  }
  throw new GatewayError(
    "request_invalid",
    `Cannot answer ${id}: ${isYes ? "yes and no were given" : "neither yes nor no was given"}`,
    { hint: "Give --accept, --max-downtime MS for another budget, or --refuse" },
  );
}

function pathOf(id: string): string {
  return `/v1/migrations/${encodeURIComponent(id)}`;
}
