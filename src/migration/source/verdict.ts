import { GatewayError } from "../../core/errors.ts";
import type { Adjudicated } from "../messages.ts";
import { onlyLedger, persistently } from "../persistently.ts";
import type { Move } from "./move.ts";
import type { SourceState } from "./state.ts";

/**
 * An operator of the destination's site decided. What was given away there has been stopped before:
 * a hand-over that waits for its answer has it. Resolves when it is on record.
 */
export async function hearVerdict(move: Move, message: Adjudicated): Promise<void> {
  const { journal, guestId, id, site, peer, clock, log, ownership: record } = move.deps;
  const { epoch, owner, by, reason } = message;
  const isParty = message.guest === guestId && (owner === site || owner === peer);
  // Decided at both sites at once: the source's word counts, and the destination obeys it.
  if (!isParty || epoch <= (record()?.epoch ?? 0)) {
    return log("warn", `${id}: not obeyed: ${by} gave ${message.guest} to ${owner} at ${epoch}`);
  }
  if (!canObey(move.state, owner === site)) {
    const error = new GatewayError(
      "migration_state",
      `Cannot give ${guestId} to ${owner}: the move is ${move.state.kind} here`,
      { hint: "The machine was stopped at the other site, and is whole there" },
    );
    return log("error", `${id}: ${error.message}`);
  }
  const ownership = { guestId, epoch, owner, migrationId: id, decidedBy: by, reason };
  const side = owner === site ? "source" as const : "destination" as const;
  await persistently(clock, () => {
    const { kind } = move.state;
    if (kind === "handedOver" || kind === "conflict") {
      journal.write({ kind: "adjudicated", owner: side, epoch, by, reason }, ownership);
    } else journal.write({ kind: "noted", notes: move.notes }, ownership);
  }, onlyLedger((error) => log("error", `${id}: ${error.message}`)));
  move.decidedByPeer = true;
}

/** Whether the machine is, or can come to be, where it was given to. */
export function canObey({ kind }: SourceState, staysHere: boolean): boolean {
  if (kind === "handedOver" || kind === "conflict") return true;
  const isGone = kind === "retiring" || kind === "completed";
  return staysHere !== isGone;
}
