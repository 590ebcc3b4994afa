import type { Row } from "../row.ts";

/** A title, and what stands there for a row. */
type Column = readonly [string, (row: Row) => string | number | null | undefined];

const field = <K extends keyof Row>(name: K): Column => [
  name,
  (row) => row[name] as string | number | null,
];

const COLUMNS: readonly Column[] = [
  ...(["cell", "profile", "guest", "workload", "strategy", "faults", "seed", "repetition"] as const)
    .map(field),
  ...(["state", "note", "totalMs", "downtimeMs", "observedDowntimeMs", "noiseMs"] as const)
    .map(field),
  ...(["predictedDowntimeMs", "wireBytes", "memoryBytes", "diskBytes"] as const).map(field),
  ...(["firstTotalMs", "firstWireBytes", "rounds", "stopAndLoadMs"] as const).map(field),
  ["limitMs", ({ limit }) => limit?.ms],
  ["packedMemoryBytes", ({ limit }) => limit?.memoryBytes],
  ["packedDiskBytes", ({ limit }) => limit?.diskBytes],
  ["roundTripMs", ({ link }) => link?.roundTripMs],
  ["peakBitsPerSecond", ({ link }) => link?.peakBitsPerSecond],
  ["lossRatio", ({ link }) => link?.lossRatio],
  ["lateRatio", ({ link }) => link?.lateRatio],
  ...(["verified", "at", "commit", "deno", "load", "cellMs"] as const).map(field),
  ["versions", ({ versions }) => JSON.stringify(versions)],
  ["machine", ({ machine }) => JSON.stringify(machine)],
];

/** All rows by RFC 4180, without samples; what is unknown is empty. */
export function csvOf(rows: readonly Row[]): string {
  const lines = [
    COLUMNS.map(([title]) => title),
    ...rows.map((row) => COLUMNS.map(([, of]) => of(row) ?? "")),
  ];
  return lines.map((cells) => cells.map(quoted).join(",") + "\r\n").join("");
}

function quoted(value: string | number): string {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
