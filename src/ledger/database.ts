import { DatabaseSync } from "node:sqlite";
import { GatewayError } from "../core/errors.ts";

/** Version of the schema in `schema/`; kept in SQLite's `user_version`. */
export const SCHEMA_VERSION = 1;

/**
 * Opens the ledger and brings an empty file to the newest schema. WAL with FULL: a committed
 * decision survives a power cut, at one fsync for each transaction.
 *
 * @param path a file, or `:memory:`
 * @throws {GatewayError} `ledger_unusable`: unreadable, read-only, or of a newer version
 */
export function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 2000");
    if (path !== ":memory:") database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as {
      user_version: number;
    };
    if (version > SCHEMA_VERSION) {
      throw new Error(`it has version ${version}, this gateway knows ${SCHEMA_VERSION}`);
    }
    if (version === 0) {
      const schema = Deno.readTextFileSync(new URL("./schema/001-ledger.sql", import.meta.url));
      database.exec(`BEGIN; ${schema} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`);
    }
    // In a table of its own that nothing else refers to: it needs no version.
    database.exec(
      Deno.readTextFileSync(new URL("./schema/004-redirects.sql", import.meta.url)),
    );
    // A ledger that cannot be written must be found here, not at the first decision of a move.
    database.exec("BEGIN IMMEDIATE; COMMIT");
    return database;
  } catch (error) {
    // Left open it would hold its locks until it is collected.
    database?.close();
    throw new GatewayError(
      "ledger_unusable",
      `Cannot open the ledger ${path}: ${error instanceof Error ? error.message : error}`,
      {
        hint: "Check that its directory exists and is writable, and that no newer gateway made it",
        cause: error,
      },
    );
  }
}
