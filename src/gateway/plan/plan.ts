import type { Clock } from "../../core/clock.ts";
import { GatewayError, toGatewayError } from "../../core/errors.ts";
import type { Finding, GuestDescription } from "../../guest/guest.ts";
import type { OwnershipRecord } from "../../migration/ports.ts";
import type { PeerLink } from "../../link/peer_link.ts";
import { notHeld } from "../../migration/source/actor.ts";
import { forecast } from "./forecast.ts";
import type { GuestRegistry } from "../guests.ts";
import { whenUp } from "../link_up.ts";
import { requireOwner } from "../ownership.ts";
import type { PeerRegistry } from "../peers.ts";
import type { Plan } from "../service.ts";
import { shownPath } from "../shown_path.ts";

/** A dial takes some round trips; a forecast does not wait for a peer that is away. */
const LINK_UP_MS_MAX = 5_000;
/** A link that just came up knows its round trip after one. */
const ROUND_TRIP_MS_MAX = 2_000;
const LOOK_MS = 20;

export interface PlanDeps {
  readonly site: string;
  readonly clock: Clock;
  readonly guests: GuestRegistry;
  readonly peers: PeerRegistry;
  readonly ownership: (guestId: string) => OwnershipRecord | null;
  readonly movingGuest: (guestId: string) => string | null;
}

/**
 * Forecasts a move and says what is known here to stand in its way. Nothing is sampled from the
 * machine, and the peer is not asked: its own machine and images are looked at by the preflight.
 *
 * @throws {GatewayError} `guest_unknown`, `guest_unreachable`, `peer_unknown`
 */
export async function planMove(
  deps: PlanDeps,
  { guest: guestId, to }: { readonly guest: string; readonly to: string },
): Promise<Plan> {
  const { clock, guests, peers } = deps;
  const link = await peers.link(to);
  const machine = await guests.machine(guestId);
  const description = await machine.describe();
  const trouble = await linkTrouble(link, to, deps);
  if (trouble === null) await roundTripKnown(link, clock);
  const path = link.path();
  const capBytesPerSecond = peers.rate(to);
  return {
    guest: guestId,
    to,
    path: shownPath(path),
    findings: [
      ...(trouble === null ? [] : [{ severity: "warning" as const, ...trouble.toJSON() }]),
      ...await localFindings(deps, guestId, description),
    ],
    ...forecast({ description, path, capBytesPerSecond }),
  };
}

async function linkTrouble(
  link: PeerLink,
  to: string,
  { clock, peers }: PlanDeps,
): Promise<GatewayError | null> {
  try {
    await whenUp(link, to, clock, () => peers.lastError(to), LINK_UP_MS_MAX);
    return null;
  } catch (thrown) {
    return toGatewayError(thrown);
  }
}

async function roundTripKnown(link: PeerLink, clock: Clock): Promise<void> {
  const untilMs = clock.nowMs() + ROUND_TRIP_MS_MAX;
  while (link.path().roundTripMs === null && clock.nowMs() < untilMs) await clock.sleep(LOOK_MS);
}

/** What of the preflight needs this site alone; changes nothing. */
async function localFindings(
  { site, guests, ownership, movingGuest }: PlanDeps,
  guestId: string,
  description: GuestDescription,
): Promise<Finding[]> {
  const moving = movingGuest(guestId);
  if (moving !== null) {
    return [refusal(
      new GatewayError("guest_moving", `Cannot move ${guestId}: it is moving already`, {
        hint: `See GET /v1/migrations/${moving}`,
      }),
    )];
  }
  if (guests.get(guestId).role !== "source") {
    return [refusal(
      new GatewayError(
        "guest_not_source",
        `Cannot move ${guestId}: it waits here for an incoming move`,
        { hint: "Plan and start the move at the site where the machine runs" },
      ),
    )];
  }
  try {
    requireOwner(ownership(guestId), site, `move ${guestId} from here`);
  } catch (thrown) {
    return [refusal(toGatewayError(thrown))];
  }
  const { source } = await guests.machine(guestId);
  // From a machine like itself that waits nothing can differ: what is found is about this one.
  const findings = await source.preflight({ ...description, runState: "incoming" });
  return [...findings, ...notHeld(description)];
}

function refusal(error: GatewayError): Finding {
  return { severity: "refusal", ...error.toJSON() };
}
