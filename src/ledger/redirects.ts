import type { DatabaseSync } from "node:sqlite";
import { objectOf, type Reading } from "./reading.ts";
import { inTransaction } from "./transaction.ts";

/** One redirect as the ledger has it; what it means is `src/redirect/`'s to know. */
export interface StoredRedirect {
  readonly migrationId: string;
  readonly side: "old" | "new";
  readonly guestId: string;
  readonly subject: Record<string, unknown>;
  /** In order, the oldest first. */
  readonly events: readonly StoredRedirectEvent[];
}

export interface StoredRedirectEvent {
  readonly kind: string;
  readonly at: string;
}

/** Redirects in the ledger: durable when a call returns, as everything in it. */
export interface RedirectLedger {
  createRedirect(redirect: Omit<StoredRedirect, "events">, first: { readonly kind: string }): void;
  appendRedirect(
    migrationId: string,
    side: "old" | "new",
    event: { readonly kind: string },
  ): void;
  /** All of them, in the order in which they were created. */
  redirects(): StoredRedirect[];
}

/** The part of the ledger that knows redirects. */
export function redirectLedger(
  database: DatabaseSync,
  now: () => string,
  read: Reading,
): RedirectLedger {
  const write = (action: () => void) => inTransaction(database, action);
  const insertEvent = (
    migrationId: string,
    side: string,
    { kind, ...body }: { readonly kind: string },
  ) => {
    database.prepare(
      "INSERT INTO redirect_event (migration_id, side, at, kind, body) VALUES (?, ?, ?, ?, ?)",
    ).run(migrationId, side, now(), kind, JSON.stringify(body));
  };
  return {
    createRedirect: ({ migrationId, side, guestId, subject }, first) =>
      write(() => {
        database.prepare(
          "INSERT INTO redirect (migration_id, side, guest_id, subject) VALUES (?, ?, ?, ?)",
        ).run(migrationId, side, guestId, JSON.stringify(subject));
        insertEvent(migrationId, side, first);
      }),
    appendRedirect: (migrationId, side, event) =>
      write(() => insertEvent(migrationId, side, event)),
    redirects: () =>
      read(() => {
        const eventsOf = database.prepare(
          `SELECT at, kind, body FROM redirect_event WHERE migration_id = ? AND side = ?
           ORDER BY number`,
        );
        return database.prepare("SELECT * FROM redirect ORDER BY rowid").all().map((row) => ({
          migrationId: row.migration_id as string,
          side: row.side as "old" | "new",
          guestId: row.guest_id as string,
          subject: objectOf(row.subject),
          events: eventsOf.all(row.migration_id, row.side).map(({ at, kind, body }) => ({
            ...objectOf(body),
            kind: kind as string,
            at: at as string,
          })),
        }));
      }),
  };
}
