import type { RedirectCommands } from "../gateway/service.ts";
import type { RedirectView } from "../redirect/view.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import { formatBytes, table } from "./format.ts";

/** Options of `causeway redirects`. */
export interface RedirectsOptions {
  readonly commands?: string;
  readonly history?: boolean;
  readonly keep?: string;
  readonly bringBack?: string;
}

/** `causeway redirects`: addresses that follow their machine. */
export function redirects(cli: Cli, options: RedirectsOptions = {}): Promise<number> {
  return withClient(cli, async (client) => {
    const answered = options.keep ?? options.bringBack;
    if (answered !== undefined) {
      const keep = options.keep !== undefined;
      await client.post(`/v1/redirects/${encodeURIComponent(answered)}/answer`, { keep });
      answer(cli, { migration: answered, keep }, () => [
        keep ? "The machine stays where it is" : "The machine is brought back",
      ]);
      return 0;
    }
    if (options.commands !== undefined) {
      const path = `/v1/guests/${encodeURIComponent(options.commands)}/redirect-commands`;
      const steps = await client.get<RedirectCommands[]>(path);
      answer(cli, steps, () => steps.flatMap(dryRun));
      return 0;
    }
    const views = await client.get<RedirectView[]>("/v1/redirects");
    answer(cli, views, () => overview(views, options.history ?? false));
    return 0;
  });
}

/** Redirects in lines for people. */
export function overview(views: readonly RedirectView[], withHistory: boolean): string[] {
  if (views.length === 0) return ["No redirects"];
  const lines = table(
    ["ADDRESS", "GUEST", "AT", "STATE", "SIDE", "PEER", "MEANS", "TO MACHINE", "FROM MACHINE"],
    views.flatMap((view) =>
      view.addresses.map(({ ip, site, traffic }) => [
        ip,
        view.guest,
        site,
        view.state,
        view.side ?? "-",
        view.peer ?? "-",
        view.means.join("+") || "-",
        traffic ? formatBytes(traffic.toMachineBytes) : "-",
        traffic ? formatBytes(traffic.fromMachineBytes) : "-",
      ])
    ),
  );
  const troubles = views.flatMap(({ guest, migration, problem, question }) => [
    ...(problem ? [`${guest}: ${problem}`] : []),
    ...(question
      ? [
        `${question.text}`,
        `  causeway redirects --keep ${migration}, or --bring-back ${migration}`,
      ]
      : []),
  ]);
  const history = withHistory
    ? views.flatMap(({ guest, side, history }) =>
      history.map(({ at, kind, detail }) =>
        `${at}  ${guest} (${side})  ${kind}${detail ? `: ${detail}` : ""}`
      )
    )
    : [];
  return [...lines, ...troubles, ...history];
}

function dryRun({ side, stage, means, commands }: RedirectCommands): string[] {
  if (commands.length === 0) return [];
  return [`# ${side} site, ${stage}, ${means}`, ...commands];
}
