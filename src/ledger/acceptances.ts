import type { DatabaseSync } from "node:sqlite";

/** What the machine of one accepted offer takes at this site. */
export interface Acceptance {
  readonly migrationId: string;
  readonly guestId: string;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  /** The machine lives here since then, by the newest record of who owns it. */
  readonly livesHere: boolean;
}

/** Sizes of a machine that is about to be accepted. */
export interface AcceptedSizes {
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

/** Within a transaction of the caller. */
export function insertAcceptance(
  database: DatabaseSync,
  migrationId: string,
  { memoryBytes, diskBytes }: AcceptedSizes,
): void {
  database.prepare(
    "INSERT INTO acceptance (migration_id, memory_bytes, disk_bytes) VALUES (?, ?, ?)",
  ).run(migrationId, memoryBytes, diskBytes);
}

/** Every offer of a peer that was accepted, with whether its machine is still here. */
export function acceptancesOf(database: DatabaseSync, peer: string, site: string): Acceptance[] {
  return database.prepare(
    `SELECT m.id, m.guest_id, a.memory_bytes, a.disk_bytes, EXISTS (
       SELECT 1 FROM ownership o
       WHERE o.guest_id = m.guest_id AND o.migration_id = m.id AND o.owner = ?
         AND o.epoch = (SELECT MAX(epoch) FROM ownership WHERE guest_id = m.guest_id)
     ) AS lives_here
     FROM acceptance a JOIN migration m ON m.id = a.migration_id
     WHERE m.peer = ? AND m.side = 'destination' ORDER BY m.created_at, m.id`,
  ).all(site, peer).map((row) => ({
    migrationId: row.id as string,
    guestId: row.guest_id as string,
    memoryBytes: row.memory_bytes as number,
    diskBytes: row.disk_bytes as number,
    livesHere: row.lives_here === 1,
  }));
}
