import type { BlockMap } from "../image/block_map.ts";

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

/** How a machine's addresses follow it in one move; `src/redirect/` implements it. */
export interface RedirectPort {
  /** What the other site has to name as well; null where nothing is carried between the sites. */
  readonly offered: OfferedRedirect | null;
  /** Before the machine is touched. @throws {GatewayError} `redirect_failed`: the move must end */
  prepare(): Promise<void>;
  /**
   * The machine is about to be paused: what takes time and does no harm while it runs is done now, so
   * that it does not lengthen the pause. Never rejects.
   */
  arm(): Promise<void>;
  /** The machine stands still. @throws {GatewayError} `redirect_failed`: it must run on here */
  switchOver(): Promise<void>;
  /** It runs on here after all, and the move goes on. */
  switchUndone(): void;
}

/** What both sites have to agree on before addresses are redirected. */
export interface OfferedRedirect {
  readonly ips: readonly string[];
  /** The means that carries packets between the sites. */
  readonly carrying: "kernel" | "tunnel";
}

/** An image of a machine, by what tells what its file means. */
export interface ImageFile {
  readonly path: string;
  readonly format: string;
  /** Of the disk, which may be more than the file has. */
  readonly sizeBytes: number;
}

/** What the images at this site hold, kept from one move to the next; `src/gateway/` implements it. */
export interface ImageRecords {
  /**
   * Looks at an image that a machine of this site has open.
   *
   * @returns null where its file is not one that can be known again: then nothing of it is kept
   */
  track(image: ImageFile): Promise<TrackedImage | null>;
}

/** One image with a file of its own at this site. Neither method rejects. */
export interface TrackedImage {
  /**
   * What the image holds, where that was recorded and the file has not been touched since. The
   * record is gone afterwards: whoever asks is about to write.
   */
  take(): Promise<BlockMap | null>;
  /**
   * Records what the image holds. Called when all of it is flushed and its last writer has closed
   * it, before anybody else may open it: resolves when the file's identity has been read, and writes
   * the record beside.
   */
  keep(map: BlockMap): Promise<void>;
}
