import type { GuestDescription } from "../guest/guest.ts";
import type { AcceptedSizes } from "../ledger/acceptances.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { Usage } from "../security/accept_rules.ts";
import type { GuestRegistry } from "./guests.ts";

/** What is asked for a peer's usage. */
export interface UsageDeps {
  readonly site: string;
  readonly ledger: Ledger;
  readonly guests: GuestRegistry;
  /** A move that comes to this site and that an actor serves. */
  readonly arriving: (id: string) => { readonly actor: { readonly ended: boolean } } | null;
}

/** What a peer has here: machines that arrive, and those that have arrived and live here. */
export function usageOf({ ledger, site, guests, arriving }: UsageDeps, peer: string): Usage {
  const usage = { memoryBytes: 0, diskBytes: 0, moves: 0 };
  for (const accepted of ledger.acceptances(peer, site)) {
    const { migrationId, guestId, livesHere } = accepted;
    const arrival = arriving(migrationId);
    const isArriving = arrival !== null && !arrival.actor.ended;
    if (isArriving) usage.moves++;
    else if (!livesHere || guests.find(guestId) === null) continue;
    usage.memoryBytes += accepted.memoryBytes;
    usage.diskBytes += accepted.diskBytes;
  }
  return usage;
}

/** What a machine counts against the quotas of its peer. */
export function sizesOf({ memoryBytes, disks }: GuestDescription): AcceptedSizes {
  return { memoryBytes, diskBytes: disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}
