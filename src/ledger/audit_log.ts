import type { DatabaseSync } from "node:sqlite";
import { objectOf, type Reading } from "./reading.ts";
import { inTransaction } from "./transaction.ts";

/** One entry of the audit. */
export interface AuditEntry {
  /** Rises by entry; never given twice. */
  readonly number: number;
  readonly at: string;
  readonly kind: string;
  readonly body: Record<string, unknown>;
}

/** Which entries are asked for, newest first. */
export interface AuditQuery {
  readonly limit: number;
  /** Only entries with a number below this: the next page. */
  readonly before?: number;
  readonly kind?: string;
}

/** The audit: appended to, never changed. */
export interface AuditLog {
  /** @throws {GatewayError} `ledger_write_failed` */
  audit(kind: string, body: Record<string, unknown>): void;
  /** @throws {GatewayError} `ledger_unusable` */
  auditEntries(query: AuditQuery): AuditEntry[];
}

export function auditLog(
  database: DatabaseSync,
  now: () => string,
  read: Reading,
): AuditLog {
  return {
    audit: (kind, body) =>
      inTransaction(database, () => {
        database.prepare("INSERT INTO audit (at, kind, body) VALUES (?, ?, ?)")
          .run(now(), kind, JSON.stringify(body));
      }),
    auditEntries: ({ limit, before = Number.MAX_SAFE_INTEGER, kind }) =>
      read(() => {
        const select = "SELECT number, at, kind, body FROM audit WHERE number < ?";
        const newestFirst = "ORDER BY number DESC LIMIT ?";
        const rows = kind === undefined
          ? database.prepare(`${select} ${newestFirst}`).all(before, limit)
          : database.prepare(`${select} AND kind = ? ${newestFirst}`).all(before, kind, limit);
        return rows.map((row) => ({
          number: row.number as number,
          at: row.at as string,
          kind: row.kind as string,
          body: objectOf(row.body),
        }));
      }),
  };
}
