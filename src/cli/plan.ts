import type { OpenRange, Plan, PlanStrategy } from "../gateway/plan/report.ts";
import { answer, type Cli, withClient } from "./cli.ts";
import { formatBytes, formatDuration, formatRate, table } from "./format.ts";
import { type WishArguments, wishesOf } from "./wishes.ts";

/** Options of `causeway plan`. */
export interface PlanArguments extends WishArguments {
  readonly to: string;
  readonly seconds?: number;
  readonly strategy?: string;
}

/** `causeway plan`: a forecast; nothing moves. */
export async function plan(cli: Cli, guest: string, options: PlanArguments): Promise<number> {
  const { to, seconds, strategy } = options;
  const body = { guest, to, seconds, strategy, ...await wishesOf(options) };
  return await withClient(cli, async (client) => {
    const forecast = await client.post<Plan>("/v1/plan", body);
    answer(cli, forecast, () => describePlan(forecast));
    return 0;
  });
}

/** A plan in lines for people. */
export function describePlan(forecast: Plan): string[] {
  const { strategies, findings, changes } = forecast;
  const remarks = new Set(strategies.flatMap((strategy) => strategy.remarks));
  const [first] = strategies;
  return [
    ...table(
      ["STRATEGY", "DURATION", "WIRE", "DOWNTIME", "FITS"],
      strategies.map((each) => [
        nameOf(each),
        range(each.totalMs, formatDuration),
        range(each.wireBytes, formatBytes),
        range(each.downtimeMs, formatDuration),
        each.fits === null ? "perhaps" : each.fits ? "yes" : "no",
      ]),
    ),
    ...findings.map(({ severity, message, hint }) => `${severity}: ${message}. ${hint}`),
    ...(first !== undefined && first.totalMs?.expected == null ? [`why: ${first.reason}`] : []),
    ...seen(forecast),
    ...changes.map(({ text }) => `if: ${text}`),
    ...[...remarks].map((remark) => `note: ${remark}`),
  ];
}

function nameOf({ strategy, whenOver }: PlanStrategy): string {
  const remedies = whenOver.filter((remedy) => remedy !== "wait");
  return strategy === "precopy" && remedies.length > 0
    ? `${strategy}, ${remedies.join(", ")}`
    : strategy;
}

function range(value: OpenRange | null, format: (value: number) => string): string {
  if (value === null) return "-";
  const end = (at: number | null) => at === null ? "no end" : format(at);
  return `${end(value.expected)} (${format(value.low)} to ${end(value.high)})`;
}

/** What the forecast rests on. */
function seen({ rate, path, probe, sample, destination }: Plan): string[] {
  const jitterMs = probe?.jitterMs ?? path.jitterMs;
  const lossRatio = probe?.lossRatio ?? path.lossRatio;
  const roundTripMs = probe?.minRoundTripMs ?? path.minRoundTripMs ?? path.roundTripMs;
  const { low, expected, high } = rate.bytesPerSecond;
  const line = [
    `${formatRate(expected)} ${rate.source} (${formatRate(low)} to ${formatRate(high)})`,
    ...(roundTripMs === null ? [] : [`${roundTripMs} ms there and back`]),
    ...(lossRatio === null ? [] : [`${(lossRatio * 100).toFixed(2)} % lost`]),
    ...(jitterMs === null ? [] : [`${jitterMs} ms jitter`]),
  ];
  return [
    `path: ${line.join(", ")}`,
    ...(sample === null ? [] : [`writes: ${written(sample)}`]),
    ...(destination === null ? [] : [`there: ${waiting(destination)}`]),
  ];
}

function written({ memory, disks }: NonNullable<Plan["sample"]>): string {
  const windows = memory.windows.map(({ ms, distinctBytes }) =>
    `${formatBytes(distinctBytes)} in ${formatDuration(ms)}`
  );
  const onDisk = disks.map(({ id, writtenBytesPerSecond }) =>
    `${formatBytes(writtenBytesPerSecond)}/s to ${id}`
  );
  return [`of memory ${windows.join(", ")}`, ...onDisk].join("; ");
}

function waiting({ description, availableMemoryBytes }: NonNullable<Plan["destination"]>): string {
  const { kind, version, machineType, cpuModel, disks } = description;
  return [
    [`${kind} ${version}`, machineType, cpuModel].filter((part) => part !== null).join(" "),
    ...disks.map(({ id, format, sizeBytes }) => `${id} ${format} ${formatBytes(sizeBytes)}`),
    ...(availableMemoryBytes === null
      ? []
      : [`${formatBytes(availableMemoryBytes)} of memory free`]),
  ].join(", ");
}
