import { GatewayError } from "../../core/errors.ts";
import type { OwnershipRecord } from "../ports.ts";
import type { StoredError } from "../source/state.ts";

/** What the ledger records with a refusal: nobody owns what was refused, its epoch is used up. */
export function record(
  { guestId, id: migrationId }: { readonly guestId: string; readonly id: string },
  epoch: number,
  { message: reason }: StoredError,
): Omit<OwnershipRecord, "decidedAt"> {
  return { guestId, epoch, owner: null, migrationId, decidedBy: "refusal", reason };
}

/** Why a destination does not take the machine over, where nothing else has said it. */
export function abandonedError(): StoredError {
  return {
    code: "handover_refused",
    message: "Cannot take the machine over: this move was given up here before",
    hint: "The machine runs at the source; start the move again",
  };
}

/** The source let go of the move without saying why. */
export function closedBySource(reason: string): StoredError {
  return {
    code: "link_closed",
    message: `Cannot go on: the source closed the move: ${reason}`,
    hint: "The machine runs at the source; look at the log of its gateway, then start again",
  };
}

export function framesGone(): GatewayError {
  return new GatewayError(
    "handover_refused",
    "Cannot take the machine over: frames are missing that the source cannot send again",
    { hint: "The machine runs at the source; start the move again" },
  );
}

export function restartedHere(): GatewayError {
  return new GatewayError(
    "gateway_restarted",
    "Cannot take the machine over: the destination's gateway restarted",
    { hint: "The machine runs at the source; start the move again" },
  );
}

/** The hand-over names `told`, while `expected` was agreed and `recorded` is the highest one known. */
export function staleHandover(told: number, expected: number, recorded: number): GatewayError {
  const why = told === expected
    ? `epoch ${told} is not above ${recorded}, recorded here`
    : `it has epoch ${told}, expected ${expected}`;
  return new GatewayError("offer_stale", `Cannot accept the hand-over: ${why}`, {
    hint: "Compare the history of the guest at both sites, then start the move again",
  });
}

export function adjudicatedAway(by: string, owner: string, reason: string): GatewayError {
  return new GatewayError(
    "handover_refused",
    `Cannot take the machine over: ${by} gave it to ${owner}`,
    { hint: reason },
  );
}

export function incomingMachineGone(guestId: string): GatewayError {
  return new GatewayError("guest_gone", `Cannot go on: the incoming machine ${guestId} ended`, {
    hint: "Look at its own log; register it again for a retry",
  });
}

/** For the source, which waits for the refusal: nothing is concluded from a silent monitor. */
export function unseenEnd(site: string, why: string): string {
  return `${site} refuses the machine and cannot see the one that waited for it end: ${why}. ` +
    "Adjudicate with force: to the source to run it there";
}
