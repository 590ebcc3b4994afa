import type { DatabaseSync } from "node:sqlite";
import type { Reading } from "./reading.ts";
import { inTransaction } from "./transaction.ts";

/** The newest key that each peer has proved, by the fingerprint of its site certificate. */
export interface PeerKeys {
  /** Highest generation seen; 0 where the peer never showed a key of its own. */
  keyGeneration(fingerprint: string): number;
  /** Never goes back. @throws {GatewayError} `ledger_write_failed` */
  keySeen(fingerprint: string, generation: number): void;
}

export function peerKeys(
  database: DatabaseSync,
  now: () => string,
  read: Reading,
): PeerKeys {
  return {
    keyGeneration: (fingerprint) =>
      read(() => {
        const row = database.prepare("SELECT generation FROM peer_key WHERE fingerprint = ?")
          .get(fingerprint);
        return (row?.generation as number | undefined) ?? 0;
      }),
    keySeen: (fingerprint, generation) =>
      inTransaction(database, () => {
        database.prepare(
          `INSERT INTO peer_key (fingerprint, generation, seen_at) VALUES (?, ?, ?)
           ON CONFLICT (fingerprint) DO UPDATE
           SET generation = excluded.generation, seen_at = excluded.seen_at
           WHERE excluded.generation > peer_key.generation`,
        ).run(fingerprint, generation, now());
      }),
  };
}
