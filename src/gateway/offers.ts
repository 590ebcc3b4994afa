import { toGatewayError } from "../core/errors.ts";
import type { Ledger, StoredMigration } from "../ledger/ledger.ts";
import {
  type DestinationEvent,
  type DestinationState,
  wasWithdrawn,
} from "../migration/destination/state.ts";

/**
 * An offer that arrived here. Until the source says `begin`, and for ever where its preflight
 * refused, no move of this id exists there: then none is listed here either, and only the audit has
 * it. Scripts see the same moves whichever side they ask.
 */
export interface Arrived {
  readonly stored: StoredMigration;
  readonly state: DestinationState;
  /** The source said so, or reported of it. */
  readonly begun: boolean;
}

/** True while there is no move, and for good where there will be none. */
export function isOnlyOffered({ stored, state, begun }: Arrived, ledger: Ledger): boolean {
  if (begun) return false;
  if (state.kind !== "abandoned") return state.kind === "accepted";
  return wasWithdrawn(ledger.events(stored.id) as unknown as DestinationEvent[]);
}

/** Never throws: the offer has ended, whether that can be written down or not. */
export function auditWithdrawn(
  { stored, state }: Arrived,
  { ledger, log }: {
    readonly ledger: Ledger;
    readonly log: (level: "error", message: string) => void;
  },
): void {
  const error = state.kind === "abandoned" ? state.error : null;
  const { id: migration, guestId: guest, peer: from } = stored;
  try {
    ledger.audit("offer_withdrawn", { migration, guest, from, ...error });
  } catch (thrown) {
    log("error", `${migration}: ${toGatewayError(thrown).message}`);
  }
}
