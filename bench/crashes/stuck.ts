import type { KillableSites } from "../../tests/e2e/support/killable_sites.ts";

/** Rows of nothing that take minutes at least. */
const FOR_EVER = 1e12;
const LOOK_MS = 20;
/** A write of our own waits in vain so often: no ordinary transaction lasts so long. */
const LOCKED_LOOKS = 20;
const LIMIT_MS = 90_000;

/**
 * Takes a gateway into the write of a decision and keeps it there: what it decided is in its memory
 * and not in its ledger.
 */
export function inWrite(sites: KillableSites, site: "a" | "b", kind: string) {
  withLedger(
    sites,
    site,
    `CREATE TRIGGER stuck BEFORE INSERT ON migration_event WHEN NEW.kind = '${kind}'
     BEGIN SELECT (WITH RECURSIVE n(i) AS
       (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${FOR_EVER}) SELECT count(*) FROM n); END`,
  );
  return {
    reached: async () => {
      const database = sites.ledger(site);
      database.exec("PRAGMA busy_timeout = 0");
      try {
        const endMs = performance.now() + LIMIT_MS;
        for (let locked = 0; locked < LOCKED_LOOKS;) {
          try {
            database.exec("BEGIN IMMEDIATE; ROLLBACK");
            locked = 0;
          } catch {
            locked++;
          }
          if (performance.now() > endMs) throw new Error(`${site} never writes ${kind}`);
          await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        }
      } finally {
        database.close();
      }
    },
    undo: () => withLedger(sites, site, "DROP TRIGGER IF EXISTS stuck"),
  };
}

function withLedger(sites: KillableSites, site: "a" | "b", sql: string): void {
  const database = sites.ledger(site);
  try {
    database.exec(sql);
  } finally {
    database.close();
  }
}
