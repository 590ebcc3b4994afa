import { GatewayError } from "../core/errors.ts";
import type { OwnershipRecord } from "../migration/ports.ts";
import type { Adjudication, MigrationReport } from "../migration/report.ts";

/** Who decides where no operator does; see `OwnershipRecord.decidedBy`. */
const BY_THEMSELVES = ["handover", "refusal", "registration"];

/** What an operator says of a move in doubt. */
export interface Decision {
  /** A site's name. */
  readonly owner: string;
  readonly reason: string;
  readonly force: boolean;
  readonly by: string;
}

/**
 * Whether an operator may decide who runs the machine of this move.
 *
 * @param canAsk the other site can be asked, so that the doubt would end by itself
 * @throws {GatewayError} `request_invalid` for an owner that is neither site or a name that is not a
 *   person's, `migration_state` while the other site can be asked, unless it is forced
 */
export function requireAdjudicable(
  { id, guest, from, to, side }: MigrationReport,
  { owner, force, by }: Decision,
  canAsk: boolean,
): void {
  if (owner !== from && owner !== to) {
    throw new GatewayError("request_invalid", `Cannot give ${guest} to ${owner}`, {
      hint: `owner must be ${from} or ${to}`,
    });
  }
  if (BY_THEMSELVES.includes(by)) {
    throw new GatewayError("request_invalid", `Cannot adjudicate as ${by}`, {
      hint: "Say who decides",
    });
  }
  if (force || !canAsk) return;
  const other = side === "source" ? to : from;
  throw new GatewayError("migration_state", `Cannot adjudicate ${id}: ${other} can be asked`, {
    hint: "The doubt ends by itself while the link is up; send force to decide all the same",
  });
}

/**
 * The epoch that a decision gets: two above the move's, so that it is above its hand-over, and above
 * everything that is recorded (contract).
 *
 * @param epoch of the move when it began
 * @param recorded the highest of this site's ledger, 0 for none
 */
export function epochOfDecision(epoch: number, recorded: number): number {
  return Math.max(epoch + 2, recorded + 1);
}

/** The last decision of an operator about this move; null: there was none. */
export function adjudicationOf(
  migrationId: string,
  history: readonly OwnershipRecord[],
): Adjudication | null {
  const found = history.findLast((record) =>
    record.migrationId === migrationId && record.owner !== null &&
    !BY_THEMSELVES.includes(record.decidedBy)
  );
  if (!found) return null;
  const { owner, epoch, decidedBy: by, reason, decidedAt: at } = found;
  return { owner: owner!, epoch, by, reason, at };
}
