import { DatabaseSync } from "node:sqlite";
import { SCHEMA_VERSION } from "./database.ts";

/** What is wrong with a ledger; the guests that are registered in it where it can be read. */
export interface LedgerCheck {
  /** Null: nothing. */
  readonly problem: string | null;
  readonly guests: readonly { readonly id: string; readonly definition: unknown }[];
}

/**
 * Looks at a ledger beside the gateway that may be using it: whole by SQLite's own check, of a known
 * version, and writable (a transaction is begun and given up). Makes no file.
 *
 * @param busyMs how long a writer may hold it
 */
export function checkLedger(path: string, busyMs = 5_000): LedgerCheck {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path, { timeout: busyMs });
    const wrong = database.prepare("PRAGMA integrity_check(3)").all()
      .map((row) => String(Object.values(row)[0])).filter((text) => text !== "ok");
    if (wrong.length > 0) return { problem: `it is damaged: ${wrong.join("; ")}`, guests: [] };
    const { user_version: version } = database.prepare("PRAGMA user_version").get() as {
      user_version: number;
    };
    if (version > SCHEMA_VERSION) {
      const problem = `it has version ${version}, this program knows ${SCHEMA_VERSION}`;
      return { problem, guests: [] };
    }
    database.exec("BEGIN IMMEDIATE; ROLLBACK");
    const rows = version === 0
      ? []
      : database.prepare("SELECT id, definition FROM guest ORDER BY id").all() as {
        id: string;
        definition: string;
      }[];
    const guests = rows.map(({ id, definition }) => ({ id, definition: JSON.parse(definition) }));
    return { problem: null, guests };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error), guests: [] };
  } finally {
    database?.close();
  }
}
