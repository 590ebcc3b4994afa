import { DatabaseSync, type StatementSync } from "node:sqlite";
import { GatewayError } from "../core/errors.ts";

/**
 * What the ledger consists of, in this order: each file adds to those before it, so the same files
 * make a new ledger and bring an older one up to date.
 */
export const SCHEMA_FILES = ["001-ledger.sql", "002-access.sql", "003-redirects.sql"];

/** Files of the schema that a ledger has; kept in SQLite's `user_version`. */
export const SCHEMA_VERSION = SCHEMA_FILES.length;

/**
 * Prepares each statement once and keeps it: every report and question of a peer reads the ledger,
 * and preparing takes longer than most of the reading does.
 */
class KeepingDatabase extends DatabaseSync {
  readonly #prepared = new Map<string, StatementSync>();

  override prepare(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) this.#prepared.set(sql, statement = super.prepare(sql));
    return statement;
  }
}

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
    database = new KeepingDatabase(path);
    database.exec("PRAGMA busy_timeout = 2000");
    if (path !== ":memory:") database.exec("PRAGMA journal_mode = WAL");
    database.exec("PRAGMA synchronous = FULL");
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as {
      user_version: number;
    };
    if (version > SCHEMA_VERSION) {
      throw new Error(`it has version ${version}, this gateway knows ${SCHEMA_VERSION}`);
    }
    if (version < SCHEMA_VERSION) {
      const missing = SCHEMA_FILES.slice(version).map((file) =>
        Deno.readTextFileSync(new URL(`./schema/${file}`, import.meta.url))
      );
      database.exec(
        `BEGIN; ${missing.join("\n")} PRAGMA user_version = ${SCHEMA_VERSION}; COMMIT`,
      );
    }
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
