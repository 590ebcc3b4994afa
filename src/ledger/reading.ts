import { GatewayError } from "../core/errors.ts";

/** Reads from a ledger. @throws {GatewayError} `ledger_unusable` */
export type Reading = <T>(action: () => T) => T;

/** What was written here can be read, or the file is damaged: then nobody may decide by it. */
export function reading<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new GatewayError(
      "ledger_unusable",
      `Cannot read the ledger ${path}: ${error instanceof Error ? error.message : error}`,
      {
        hint: "Its file is damaged: restore it from a backup, or ask before it is replaced",
        cause: error,
      },
    );
  }
}

/** A JSON object out of a column. */
export function objectOf(column: unknown): Record<string, unknown> {
  const value: unknown = JSON.parse(column as string);
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new TypeError(`an entry is no object: ${String(column).slice(0, 40)}`);
}

/** A time out of a column. */
export function timeOf(column: unknown): string {
  if (Number.isNaN(Date.parse(column as string))) {
    throw new TypeError(`an entry has no time: ${String(column).slice(0, 40)}`);
  }
  return column as string;
}
