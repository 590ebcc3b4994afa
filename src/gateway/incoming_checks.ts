import { GatewayError } from "../core/errors.ts";
import type { Finding, Guest, GuestDescription } from "../guest/guest.ts";
import type { Ledger } from "../ledger/ledger.ts";
import type { OwnershipRecord } from "../migration/ports.ts";
import type { GuestRegistry } from "./guests.ts";
import { lazyGuest } from "./lazy_guest.ts";

export interface IncomingDeps {
  readonly site: string;
  readonly ledger: Ledger;
  readonly guests: GuestRegistry;
}

/**
 * Refuses what this site cannot take over whatever the machines are like.
 *
 * @param epoch that the hand-over would carry
 * @throws {GatewayError} `destination_not_registered`, `offer_stale`
 */
export function requireAcceptable(
  { site, ledger, guests }: IncomingDeps,
  guestId: string,
  epoch: number,
): void {
  const entry = guests.find(guestId);
  if (entry?.role !== "incoming") {
    const why = entry ? "it runs here" : "no such guest is registered here";
    throw new GatewayError("destination_not_registered", `Cannot accept ${guestId}: ${why}`, {
      hint: `Register it at ${site} with role "incoming"`,
    });
  }
  const record = ledger.ownership(guestId);
  if (record && epoch <= record.epoch) throw staleOffer(guestId, epoch, record);
}

/** The machine that waits here, and what its driver finds about a counterpart; touches nothing. */
export async function examineIncoming(
  { guests }: IncomingDeps,
  guestId: string,
  counterpart: GuestDescription,
): Promise<{ guest: Guest; own: GuestDescription; findings: Finding[] }> {
  const machine = await guests.incomingMachine(guestId);
  const guest = lazyGuest(machine.kind, () => guests.machine(guestId), machine);
  const own = await guest.describe();
  if (own.runState !== "incoming") throw notWaiting(guestId, own.runState);
  return { guest, own, findings: await guest.destination.preflight(counterpart) };
}

function notWaiting(guestId: string, runState: string): GatewayError {
  return new GatewayError(
    "destination_not_registered",
    `Cannot accept ${guestId}: the machine here is ${runState}, not waiting for a move`,
    { hint: "Start it with -incoming defer and register it again" },
  );
}

function staleOffer(guestId: string, epoch: number, record: OwnershipRecord): GatewayError {
  return new GatewayError(
    "offer_stale",
    `Cannot accept ${guestId}: epoch ${epoch} is not above ${record.epoch}, recorded here`,
    {
      hint: `The owner recorded here is ${record.owner ?? "nobody (refused)"}; use another guest ` +
        "id, or delete the guest at both sites",
    },
  );
}
