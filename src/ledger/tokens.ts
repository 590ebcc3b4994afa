import type { DatabaseSync } from "node:sqlite";
import type { StoredToken, TokenStore } from "../security/stored_token.ts";
import type { Reading } from "./reading.ts";
import { inTransaction } from "./transaction.ts";

/** The API's tokens as the ledger keeps them; rows are revoked, never deleted. */
export function tokenStore(database: DatabaseSync, read: Reading): TokenStore {
  const write = (action: () => void) => inTransaction(database, action);
  return {
    all: () =>
      read(() =>
        database.prepare("SELECT * FROM api_token ORDER BY created_at, id").all().map((row) => ({
          id: row.id as string,
          name: row.name as string,
          role: row.role as StoredToken["role"],
          digest: row.digest as string,
          origin: row.origin as StoredToken["origin"],
          createdBy: row.created_by as string,
          createdAt: row.created_at as string,
          expiresAt: row.expires_at as string | null,
          revokedAt: row.revoked_at as string | null,
          lastUsedAt: row.last_used_at as string | null,
        }))
      ),
    add: (token) =>
      write(() => {
        database.prepare(
          `INSERT INTO api_token (id, name, role, digest, origin, created_by, created_at, expires_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        ).run(
          token.id,
          token.name,
          token.role,
          token.digest,
          token.origin,
          token.createdBy,
          token.createdAt,
          token.expiresAt,
        );
      }),
    revoke: (id, at) =>
      write(() => {
        database.prepare("UPDATE api_token SET revoked_at = ? WHERE id = ?").run(at, id);
      }),
    used: (id, at) =>
      write(() => {
        database.prepare("UPDATE api_token SET last_used_at = ? WHERE id = ?").run(at, id);
      }),
  };
}
