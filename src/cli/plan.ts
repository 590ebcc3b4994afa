import type { Plan } from "../gateway/service.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import { formatBytes, formatDuration, table } from "./format.ts";

/** `causeway plan`: a forecast; nothing moves. */
export function plan(cli: Cli, guest: string, options: { readonly to: string }): Promise<number> {
  return withClient(cli, async (client) => {
    const forecast = await client.post<Plan>("/v1/plan", { guest, to: options.to });
    answer(cli, forecast, () => describe(forecast));
    return 0;
  });
}

type Range = Plan["strategies"][number]["totalMs"];

function describe(forecast: Plan): string[] {
  const range = (value: Range, format: (value: number) => string) =>
    value === null
      ? "-"
      : `${format(value.expected)} (${format(value.low)} to ${format(value.high)})`;
  const remarks = new Set(forecast.strategies.flatMap((strategy) => strategy.remarks));
  return [
    ...table(
      ["STRATEGY", "DURATION", "WIRE", "DOWNTIME", "FITS"],
      forecast.strategies.map(({ strategy, totalMs, wireBytes, downtimeMs, fits }) => [
        strategy,
        range(totalMs, formatDuration),
        range(wireBytes, formatBytes),
        range(downtimeMs, formatDuration),
        fits === null ? "-" : fits ? "yes" : "no",
      ]),
    ),
    ...forecast.findings.map(({ severity, message, hint }) => `${severity}: ${message}. ${hint}`),
    ...[...remarks].map((remark) => `note: ${remark}`),
  ];
}
