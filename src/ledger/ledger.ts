import { type Clock, timestamp } from "../core/clock.ts";
import type { DecisionLog, LedgerEvent, OwnershipRecord } from "../migration/ports.ts";
import type { TokenStore } from "../security/stored_token.ts";
import {
  type Acceptance,
  acceptancesOf,
  type AcceptedSizes,
  insertAcceptance,
} from "./acceptances.ts";
import { type AuditLog, auditLog } from "./audit_log.ts";
import { openDatabase } from "./database.ts";
import { type RedirectLedger, redirectLedger } from "./redirects.ts";
import { type PeerKeys, peerKeys } from "./peer_keys.ts";
import { objectOf, reading, timeOf } from "./reading.ts";
import { tokenStore } from "./tokens.ts";
import { inTransaction } from "./transaction.ts";

/** A migration's identity; its state is a fold over its events. */
export interface StoredMigration {
  readonly id: string;
  readonly guestId: string;
  readonly side: "source" | "destination";
  readonly peer: string;
  readonly options: Record<string, unknown>;
  readonly createdAt: string;
}

export interface StoredGuest {
  readonly id: string;
  readonly definition: unknown;
  readonly role: "source" | "incoming";
}

/**
 * The append-only record of guests, ownership, migrations and audit. Every call is durable when it
 * returns (one transaction, one fsync), so callers write first and act then.
 *
 * All methods throw `GatewayError`: `ledger_write_failed` when the disk refuses, `ledger_unusable`
 * when what is read is not what was written.
 */
export interface Ledger extends DecisionLog, AuditLog, PeerKeys, RedirectLedger {
  putGuest(guest: StoredGuest): void;
  deleteGuest(id: string): void;
  guests(): StoredGuest[];

  ownershipHistory(guestId: string): OwnershipRecord[];

  /** @param sizes of the machine, for an offer that this site accepts */
  createMigration(
    migration: Omit<StoredMigration, "createdAt">,
    first: LedgerEvent,
    sizes?: AcceptedSizes,
  ): void;
  migrations(): StoredMigration[];
  /** Moves back from where this one took its machine, oldest first. */
  rollbacksOf(migrationId: string): StoredMigration[];
  events(migrationId: string): (LedgerEvent & { readonly at: string })[];
  report(migrationId: string): unknown | null;

  /** Every offer of a peer that was accepted here; `site` is this one. */
  acceptances(peer: string, site: string): Acceptance[];
  readonly tokens: TokenStore;
  /** False while the disk refuses writes: no decision can be made then. */
  isWritable(): boolean;
  close(): void;
}

/**
 * Opens the ledger in a file, which is made where it is missing, or in `:memory:`.
 *
 * @throws {GatewayError} `ledger_unusable`
 */
export function openLedger(path: string, clock: Clock): Ledger {
  const database = openDatabase(path);
  const now = () => timestamp(clock.wallMs());
  const write = (action: () => void) => inTransaction(database, action);
  const read = <T>(action: () => T): T => reading(path, action);

  const insertOwnership = (record: Omit<OwnershipRecord, "decidedAt">) => {
    database.prepare(
      `INSERT INTO ownership (guest_id, epoch, owner, migration_id, decided_by, reason, decided_at)
       VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
    ).run(
      record.guestId,
      record.epoch,
      record.owner ?? "",
      record.migrationId,
      record.decidedBy,
      record.reason,
      now(),
    );
  };
  const insertEvent = (migrationId: string, { kind, ...body }: LedgerEvent) => {
    database.prepare(
      "INSERT INTO migration_event (migration_id, at, kind, body) VALUES (?, ?, ?, ?)",
    ).run(migrationId, now(), kind, JSON.stringify(body));
  };

  return {
    ...redirectLedger(database, now, read),
    ...auditLog(database, now, read),
    ...peerKeys(database, now, read),
    tokens: tokenStore(database, read),

    putGuest: (guest) =>
      write(() => {
        database.prepare(
          `INSERT INTO guest (id, definition, role, registered_at) VALUES (?, ?, ?, ?)
           ON CONFLICT (id) DO UPDATE SET definition = excluded.definition, role = excluded.role`,
        ).run(guest.id, JSON.stringify(guest.definition), guest.role, now());
      }),
    deleteGuest: (id) =>
      write(() => void database.prepare("DELETE FROM guest WHERE id = ?").run(id)),
    guests: () =>
      read(() =>
        database.prepare("SELECT id, definition, role FROM guest ORDER BY id").all().map((row) => ({
          id: row.id as string,
          definition: JSON.parse(row.definition as string),
          role: row.role as "source" | "incoming",
        }))
      ),

    ownership: (guestId) =>
      read(() => {
        const row = database.prepare(
          // A claim beats a refusal of the same epoch: an operator's decision is final. Of two
          // decisions, one at each site, the one that was learnt of last had to be obeyed.
          `SELECT * FROM ownership WHERE guest_id = ?
           ORDER BY epoch DESC, owner <> '' DESC, rowid DESC LIMIT 1`,
        ).get(guestId);
        return row ? ownershipOf(row) : null;
      }),
    ownershipHistory: (guestId) =>
      read(() =>
        database.prepare("SELECT * FROM ownership WHERE guest_id = ? ORDER BY epoch, rowid")
          .all(guestId).map(ownershipOf)
      ),

    createMigration: (migration, first, sizes) =>
      write(() => {
        database.prepare(
          `INSERT INTO migration (id, guest_id, side, peer, options, created_at)
           VALUES (?, ?, ?, ?, ?, ?)`,
        ).run(
          migration.id,
          migration.guestId,
          migration.side,
          migration.peer,
          JSON.stringify(migration.options),
          now(),
        );
        insertEvent(migration.id, first);
        if (sizes) insertAcceptance(database, migration.id, sizes);
      }),
    acceptances: (peer, site) => read(() => acceptancesOf(database, peer, site)),
    migrations: () =>
      read(() =>
        database.prepare("SELECT * FROM migration ORDER BY created_at, id").all().map(migrationOf)
      ),
    rollbacksOf: (migrationId) =>
      read(() =>
        database.prepare(
          `SELECT * FROM migration
           WHERE guest_id = (SELECT guest_id FROM migration WHERE id = ?)
             AND json_extract(options, '$.rollbackOf') = ?
           ORDER BY created_at, id`,
        ).all(migrationId, migrationId).map(migrationOf)
      ),
    append: (migrationId, event, ownership) =>
      write(() => {
        insertEvent(migrationId, event);
        if (ownership) insertOwnership(ownership);
      }),
    events: (migrationId) =>
      read(() =>
        database.prepare(
          "SELECT at, kind, body FROM migration_event WHERE migration_id = ? ORDER BY number",
        ).all(migrationId).map((row) => ({
          ...objectOf(row.body),
          kind: row.kind as string,
          at: timeOf(row.at),
        }))
      ),
    putReport: (migrationId, report) =>
      write(() => {
        database.prepare(
          `INSERT INTO migration_report (migration_id, body) VALUES (?, ?)
           ON CONFLICT (migration_id) DO UPDATE SET body = excluded.body`,
        ).run(migrationId, JSON.stringify(report));
      }),
    report: (migrationId) =>
      read(() => {
        const row = database.prepare("SELECT body FROM migration_report WHERE migration_id = ?")
          .get(migrationId);
        return row ? JSON.parse(row.body as string) : null;
      }),

    claim: (record) => write(() => insertOwnership(record)),
    isWritable() {
      try {
        database.exec("BEGIN IMMEDIATE; ROLLBACK");
        return true;
      } catch {
        return false;
      }
    },
    close: () => database.close(),
  };
}

function migrationOf(row: Record<string, unknown>): StoredMigration {
  return {
    id: row.id as string,
    guestId: row.guest_id as string,
    side: row.side as "source" | "destination",
    peer: row.peer as string,
    options: objectOf(row.options),
    createdAt: timeOf(row.created_at),
  };
}

function ownershipOf(row: Record<string, unknown>): OwnershipRecord {
  return {
    guestId: row.guest_id as string,
    epoch: row.epoch as number,
    owner: row.owner === "" ? null : row.owner as string,
    migrationId: row.migration_id as string | null,
    decidedBy: row.decided_by as string,
    reason: row.reason as string,
    decidedAt: row.decided_at as string,
  };
}
