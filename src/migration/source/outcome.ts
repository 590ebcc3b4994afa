import type { OwnershipRecord } from "../ports.ts";
import type { Outcome } from "./courier.ts";
import type { SourceEvent, SourceState } from "./state.ts";

type Ownership = Omit<OwnershipRecord, "decidedAt">;

interface Parties {
  readonly guestId: string;
  readonly migrationId: string;
  readonly site: string;
  readonly peer: string;
}

/**
 * What a hand-over's answer means for the source: the event to write with its ownership record, or
 * null while the answer is missing or belongs to an older hand-over.
 *
 * @param downtimeMs as measured at the arrival of RUNNING; null for a machine that arrives paused
 */
export function decideOutcome(
  state: SourceState,
  outcome: Outcome | null,
  downtimeMs: number | null,
  { guestId, migrationId, site, peer }: Parties,
): { event: SourceEvent; ownership: Ownership } | null {
  if (state.kind !== "handedOver" || !outcome || outcome.epoch < state.epoch) return null;
  const { epoch } = outcome;
  const record = { guestId, migrationId, epoch, decidedBy: "handover" };
  return outcome.type === "running"
    ? {
      event: { kind: "ranAtPeer", epoch, downtimeMs: state.run ? downtimeMs : null },
      ownership: { ...record, owner: peer, reason: "the destination runs the machine" },
    }
    : {
      event: { kind: "refusedByPeer", epoch, error: outcome.error },
      ownership: { ...record, owner: site, reason: "the destination refused durably" },
    };
}
