import { GatewayError } from "../../core/errors.ts";
import type { Ledger } from "../../ledger/ledger.ts";
import type { LedgerEvent } from "../../migration/ports.ts";
import type { SimProcess } from "./process.ts";

export type Ownership = Parameters<Ledger["claim"]>[0];

/** Who stands around every durable write of a gateway. */
export interface WriteWatch {
  /** May end the process: nothing was written then. False where the storage refuses. */
  readonly before: (kind: string) => boolean;
  /** It is durable; the process may end here as well. */
  readonly after: (kind: string, write: Written) => void;
}

/** What was written, as the ledger was given it. */
export interface Written {
  readonly migrationId: string | null;
  readonly event: LedgerEvent | null;
  readonly ownership: Ownership | null;
}

/** A host's ledger as one gateway process has it open: with that process it is over. */
export function processLedger(ledger: Ledger, process: SimProcess, watch: WriteWatch): Ledger {
  const write = (kind: string, act: () => void, written: Partial<Written> = {}) => {
    process.check();
    const isWritable = watch.before(kind);
    process.check();
    if (!isWritable) throw full();
    known.clear();
    act();
    watch.after(kind, { migrationId: null, event: null, ownership: null, ...written });
    process.check();
  };
  const read = <T>(act: () => T): T => {
    process.check();
    return act();
  };
  // Nobody else writes: what was read before the last write is the same, and reading is dear.
  const known = new Map<string, readonly unknown[]>();
  const readOnce = <T>(key: string, act: () => T[]): T[] => {
    process.check();
    let rows = known.get(key) as T[] | undefined;
    if (rows === undefined) known.set(key, rows = act());
    return [...rows];
  };
  return {
    putGuest: (guest) => write("putGuest", () => ledger.putGuest(guest)),
    deleteGuest: (id) => write("deleteGuest", () => ledger.deleteGuest(id)),
    guests: () => read(() => ledger.guests()),
    ownership: (guestId) => read(() => ledger.ownership(guestId)),
    ownershipHistory: (guestId) =>
      readOnce(`history ${guestId}`, () => ledger.ownershipHistory(guestId)),
    createMigration: (migration, first, sizes) =>
      write("created", () => ledger.createMigration(migration, first, sizes), {
        migrationId: migration.id,
        event: first,
      }),
    migrations: () => read(() => ledger.migrations()),
    rollbacksOf: (migrationId) =>
      readOnce(`back ${migrationId}`, () => ledger.rollbacksOf(migrationId)),
    append: (migrationId, event, ownership) =>
      write(event.kind, () => ledger.append(migrationId, event, ownership), {
        migrationId,
        event,
        ownership: ownership ?? null,
      }),
    events: (migrationId) => readOnce(`events ${migrationId}`, () => ledger.events(migrationId)),
    putReport: (migrationId, report) =>
      write("putReport", () => ledger.putReport(migrationId, report)),
    report: (migrationId) => read(() => ledger.report(migrationId)),
    claim: (ownership) => write("claim", () => ledger.claim(ownership), { ownership }),
    audit: (kind, body) => write("audit", () => ledger.audit(kind, body)),
    createRedirect: (redirect, first) =>
      write("createRedirect", () => ledger.createRedirect(redirect, first)),
    appendRedirect: (migrationId, side, event) =>
      write("appendRedirect", () => ledger.appendRedirect(migrationId, side, event)),
    redirects: () => read(() => ledger.redirects()),
    acceptances: (peer, site) => read(() => ledger.acceptances(peer, site)),
    keyGeneration: (fingerprint) => read(() => ledger.keyGeneration(fingerprint)),
    keySeen: (fingerprint, generation) =>
      write("keySeen", () => ledger.keySeen(fingerprint, generation)),
    // Nobody logs in here.
    tokens: ledger.tokens,
    auditEntries: (limit) => read(() => ledger.auditEntries(limit)),
    isWritable: () => read(() => ledger.isWritable()),
    // The host keeps it for the next process.
    close: () => {},
  };
}

function full(): GatewayError {
  return new GatewayError("ledger_write_failed", "Cannot record a decision: the storage is full", {
    hint: "Free space",
  });
}
