import { GatewayError } from "../../core/errors.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { type Adjudicated, encodeMessage } from "../messages.ts";
import type { DestinationActorDeps } from "./deps.ts";
import type { DestinationState } from "./state.ts";

const RETRY_MS = 1000;

/** An operator's word on who runs the machine; `owner` is a site's name. */
export type Verdict = Omit<Adjudicated, "type" | "guest">;

/**
 * Whether an operator can decide at the destination. It can give away what it holds and has not run,
 * and keep what it owns; a machine of which a part is missing it could not run. One that has run here
 * is not given away: the source ends its own as soon as it hears of that.
 *
 * @param hasLost the machine ended as it was started here
 * @throws {GatewayError} `migration_state`
 */
export function requireDecidable(
  { kind }: DestinationState,
  staysHere: boolean,
  hasLost: boolean,
  { id, site, peer }: Pick<DestinationActorDeps, "id" | "site" | "peer">,
): void {
  const refuse = (reason: string, hint: string) => {
    throw new GatewayError("migration_state", `Cannot adjudicate ${id}: ${reason}`, { hint });
  };
  switch (kind) {
    case "owning":
    case "running":
      if (staysHere || hasLost) return;
      return refuse(
        `the machine runs at ${site}`,
        "Roll the move back, which brings what it is now; or decide at the source, if you must",
      );
    case "receiving":
    case "taking":
      if (!staysHere) return;
      return refuse(
        `the machine is not whole at ${site}, so ${site} cannot run it`,
        `Give it to ${peer}, or wait for the link`,
      );
    default:
      return refuse(
        `here it is ${kind}`,
        `Only a move that may have been handed over is in doubt; look at the gateway of ${peer}`,
      );
  }
}

/**
 * Tells the source a verdict, across outages and restarts, until it has applied it.
 *
 * @param reopen gives the control channel anew where the peer has closed the move
 */
export async function deliverVerdict(
  { link, id, clock }: Pick<DestinationActorDeps, "link" | "id" | "clock">,
  control: () => Channel,
  message: Adjudicated,
  reopen: () => void,
): Promise<void> {
  for (;;) {
    try {
      const channel = control();
      const sequence = await channel.send(FRAME_TYPES.control, encodeMessage(message));
      return await channel.whenAppliedByPeer(sequence);
    } catch {
      await clock.sleep(RETRY_MS);
      link.closeChannels(id);
      reopen();
    }
  }
}
