/** What the actors need of the ledger; `src/ledger/` implements it. */
export interface DecisionLog {
  /**
   * Appends one event, with an ownership record in the same transaction where one is given.
   * Durable when it returns.
   *
   * @throws {GatewayError} `ledger_write_failed`
   */
  append(
    migrationId: string,
    event: LedgerEvent,
    ownership?: Omit<OwnershipRecord, "decidedAt">,
  ): void;
  /** The record with the highest epoch, or null for a guest never seen. */
  ownership(guestId: string): OwnershipRecord | null;
  claim(record: Omit<OwnershipRecord, "decidedAt">): void;
  putReport(migrationId: string, report: unknown): void;
}

/** One decision or state change, as appended; `kind` discriminates, the rest is plain JSON. */
export interface LedgerEvent {
  readonly kind: string;
}

/** `owner` is null where a hand-over of that epoch was refused. */
export interface OwnershipRecord {
  readonly guestId: string;
  readonly epoch: number;
  readonly owner: string | null;
  readonly migrationId: string | null;
  readonly decidedBy: string;
  readonly reason: string;
  readonly decidedAt: string;
}
