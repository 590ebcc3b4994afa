import { GatewayError } from "../core/errors.ts";
import { carryingKind, sameForm } from "../guest/addresses.ts";
import type { GuestDefinition } from "../guest/definition.ts";
import type { Ledger, StoredMigration } from "../ledger/ledger.ts";
import { type DestinationState, replayDestination } from "../migration/destination/state.ts";
import type { OfferedRedirect, RedirectPort } from "../migration/ports.ts";
import { replaySource, type SourceState } from "../migration/source/state.ts";
import { requireUnclaimed } from "../redirect/conflicts.ts";
import type { Redirects } from "../redirect/redirects.ts";
import type { Fate, RedirectSide } from "../redirect/state.ts";
import { boundView, type RedirectView } from "../redirect/view.ts";
import type { RegisteredGuest } from "./guests.ts";
import type { MigrationDeps } from "./migration_deps.ts";
import { readPast } from "./past.ts";
import type { RedirectCommands } from "./service.ts";

/** What of a machine is redirected; null for one that names no addresses or no means. */
function redirected({ addresses, redirect }: GuestDefinition) {
  if (redirect === undefined || addresses === undefined || addresses.length === 0) return null;
  return { addresses, settings: redirect };
}

/** How the addresses of a move's machine follow it at this end; undefined where they do not. */
export function redirectPort(
  deps: Pick<MigrationDeps, "guests" | "redirects">,
  { id: migration, guestId: guest, peer }: Pick<StoredMigration, "id" | "guestId" | "peer">,
  side: RedirectSide,
): RedirectPort | undefined {
  const { redirects, guests } = deps;
  const entry = guests.find(guest);
  const own = entry && redirected(entry.definition);
  if (!own) return undefined;
  return {
    offered: offered(entry.definition),
    prepare: () => redirects.prepare({ migration, guest, side, peer, ...own }),
    arm: () => redirects.arm(migration),
    switchOver: () => redirects.switchOver(migration),
    switchUndone: () => redirects.switchUndone(migration),
  };
}

/**
 * Packets that one site sends and the other one does not expect would be lost.
 *
 * @throws {GatewayError} `redirect_mismatch`
 */
export function requireSameRedirect(
  { id, definition }: RegisteredGuest,
  theirs: OfferedRedirect | null,
  site: string,
): void {
  const mine = offered(definition);
  const text = (offer: OfferedRedirect | null) =>
    offer ? `${offer.carrying} of ${offer.ips.toSorted().join(", ")}` : "nothing";
  if (text(mine) === text(theirs)) return;
  throw new GatewayError(
    "redirect_mismatch",
    `Cannot take ${id}: ${site} redirects ${text(mine)}, the source ${text(theirs)}`,
    { hint: "Register the machine with the same addresses and kernel or tunnel at both sites" },
  );
}

function offered(definition: GuestDefinition): OfferedRedirect | null {
  const own = redirected(definition);
  const carrying = own && carryingKind(own.settings);
  return own && carrying ? { carrying, ips: own.addresses.map(({ ip }) => sameForm(ip)) } : null;
}

/** Of a machine that is moving away, by the move's journal. */
export function sourceFate({ kind }: SourceState): Fate {
  switch (kind) {
    case "handedOver":
      return "switched";
    case "retiring":
    case "completed":
      return "arrived";
    case "failed":
    case "cancelled":
    case "seeded":
      return "stays";
    default:
      // While it is undone the machine may still stand: its packets wait until it runs.
      return "open";
  }
}

/** Of a machine that comes here. */
export function destinationFate({ kind }: DestinationState): Fate {
  switch (kind) {
    case "taking":
    case "owning":
      return "switched";
    case "running":
      return "arrived";
    case "refused":
    case "abandoned":
      return "stays";
    default:
      return "open";
  }
}

/** After a restart: what moves have come to that no redirect heard of before the crash. */
export function catchUp(redirects: Redirects, ledger: Ledger, site: string): void {
  for (const { migration, side } of redirects.open()) {
    const past = readPast(ledger, migration, site);
    const fate = past === null
      ? "stays"
      : side === "old"
      ? sourceFate(replaySource(past.sourceEvents))
      : destinationFate(replayDestination(past.destinationEvents));
    redirects.follow(migration, side, fate);
  }
}

/** @throws {GatewayError} `address_conflict` */
export function requireOwnAddresses(
  id: string,
  definition: GuestDefinition,
  known: readonly RegisteredGuest[],
): void {
  requireUnclaimed(
    { guest: id, addresses: definition.addresses ?? [] },
    known.map((entry) => ({ guest: entry.id, addresses: entry.definition.addresses ?? [] })),
  );
}

/** Redirects, and the addresses of machines that run here without one. */
export async function redirectViews(
  redirects: Redirects,
  known: readonly RegisteredGuest[],
  site: string,
): Promise<RedirectView[]> {
  const views = await redirects.views();
  const busy = new Set(
    views.filter(({ state }) => state !== "bound" && state !== "retired").map(({ guest }) => guest),
  );
  const bound = known.flatMap(({ id, role, definition: { addresses, redirect } }) =>
    role === "source" && addresses !== undefined && !busy.has(id)
      ? [boundView(id, site, addresses, redirect?.means.map(({ kind }) => kind) ?? [])]
      : []
  );
  return [...bound, ...views];
}

/** @throws {GatewayError} `request_invalid` for a machine whose addresses do not follow it */
export function redirectCommands(
  redirects: Redirects,
  { id, definition }: RegisteredGuest,
): RedirectCommands[] {
  const own = redirected(definition);
  if (own) return redirects.commands(id, own.addresses, own.settings);
  throw new GatewayError("request_invalid", `Cannot show commands for ${id}: it has no redirect`, {
    hint: "Register the machine with addresses and redirect",
  });
}
