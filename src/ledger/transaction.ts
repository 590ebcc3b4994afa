import type { DatabaseSync } from "node:sqlite";
import { GatewayError } from "../core/errors.ts";

/**
 * Runs `action` as one transaction, which is durable when this returns.
 *
 * @throws {GatewayError} `ledger_write_failed`; nothing of it was written then
 */
export function inTransaction(database: DatabaseSync, action: () => void): void {
  try {
    database.exec("BEGIN IMMEDIATE");
    try {
      action();
      database.exec("COMMIT");
    } catch (error) {
      try {
        database.exec("ROLLBACK");
      } catch {
        // SQLite has rolled back by itself (disk full): the first error is the one to tell.
      }
      throw error;
    }
  } catch (error) {
    throw new GatewayError(
      "ledger_write_failed",
      `Cannot record a decision in the ledger: ${error instanceof Error ? error.message : error}`,
      { hint: "Free space or restore write access where the ledger lives", cause: error },
    );
  }
}
