import { settingKey } from "./matrix.ts";
import { hasArrived, type Row } from "./row.ts";
import type { Scenario } from "./schema.ts";
import { quantile, spreadOf } from "./statistics.ts";

/** Shares of the better setting of QEMU alone, and of the limit (issue 7). */
const OF_BEST = 0.6;
const OF_LIMIT = 1.25;
const DOWNTIME_MS = 300;
const ROUND_TRIPS = 1.5;
/** Where QEMU alone needs longer to stop and load, nobody else can do it in less. */
const STOP_AND_LOAD_MS_MAX = 150;

/** How one way does in one setting beside QEMU alone and the limit. */
export interface Judgement {
  readonly setting: string;
  readonly strategy: string;
  readonly totalMs: number | null;
  readonly limitMs: number | null;
  /** The fastest median of QEMU alone that ended by itself; null: none did. */
  readonly bestStock: { readonly strategy: string; readonly totalMs: number } | null;
  readonly targetMs: number | null;
  /** Null where there is nothing to judge by. */
  readonly timeMet: boolean | null;
  readonly stopAndLoadMs: number | null;
  readonly observedDowntimeMs: number | null;
  readonly downtimeTargetMs: number | null;
  /** Null where QEMU's own stop and load are too long to ask for it, or unknown. */
  readonly downtimeMet: boolean | null;
}

/** Every way through the gateways, in every setting. */
export function judge(scenario: Scenario, rows: readonly Row[]): Judgement[] {
  const wayOf = new Map(scenario.matrix.strategies.map(({ name, way }) => [name, way]));
  const settings = Map.groupBy(rows, settingKey);
  return [...settings].flatMap(([setting, inside]) => {
    const groups = [...Map.groupBy(inside, ({ strategy }) => strategy)];
    const stock = groups.filter(([name]) => wayOf.get(name) === "qemu");
    const bestStock = stock.map(([strategy, group]) => {
      const ended = group.filter(({ state }) => state === "completed");
      // What does not come to its end each time is no way to rely on.
      const totalMs = ended.length === group.length ? medianOf(ended, "totalMs") : null;
      return { strategy, totalMs: totalMs ?? Infinity };
    }).filter(({ totalMs }) => totalMs < Infinity)
      .sort((a, b) => a.totalMs - b.totalMs)[0] ?? null;
    const limits = spreadOf(inside.map(({ limit }) => limit?.ms ?? null));
    const stopAndLoadMs = spreadOf(inside.map((row) => row.stopAndLoadMs))?.median ?? null;
    return groups.filter(([name]) => wayOf.get(name) === "causeway").map(([strategy, group]) => {
      const arrived = group.filter(hasArrived);
      const totalMs = arrived.length < group.length ? null : medianOf(arrived, "totalMs");
      const limitMs = limits?.median ?? null;
      const parts = [
        bestStock === null ? null : OF_BEST * bestStock.totalMs,
        limitMs === null ? null : OF_LIMIT * limitMs,
      ].filter((part) => part !== null);
      const targetMs = parts.length === 0 ? null : Math.max(...parts);
      const observedDowntimeMs = medianOf(arrived, "observedDowntimeMs");
      const roundTripMs = spreadOf(inside.map(({ link }) => link?.roundTripMs ?? null))?.median;
      const downtimeTargetMs = roundTripMs === undefined
        ? null
        : DOWNTIME_MS + ROUND_TRIPS * roundTripMs;
      const asked = stopAndLoadMs !== null && stopAndLoadMs < STOP_AND_LOAD_MS_MAX;
      return {
        setting,
        strategy,
        totalMs,
        limitMs,
        bestStock,
        targetMs,
        timeMet: targetMs === null ? null : totalMs !== null && totalMs <= targetMs,
        stopAndLoadMs,
        observedDowntimeMs,
        downtimeTargetMs,
        downtimeMet: !asked || downtimeTargetMs === null
          ? null
          : observedDowntimeMs !== null && observedDowntimeMs <= downtimeTargetMs,
      };
    });
  });
}

function medianOf(rows: readonly Row[], field: "totalMs" | "observedDowntimeMs"): number | null {
  const known = rows.map((row) => row[field]).filter((value) => value !== null);
  return known.length === 0 ? null : quantile(known.sort((a, b) => a - b), 0.5);
}
