import { GatewayError, toGatewayError } from "../core/errors.ts";
import type { StoredMigration } from "../ledger/ledger.ts";
import type { MigrationOptions } from "../migration/options.ts";
import type { SourceActor } from "../migration/source/actor.ts";
import type { SourceEvent } from "../migration/source/state.ts";
import type { ToServe } from "./actors.ts";
import { lazyGuest } from "./lazy_guest.ts";
import { whenUp } from "./link_up.ts";
import type { MigrationDeps } from "./migration_deps.ts";
import { requireOwner } from "./ownership.ts";
import type { RunningMigrations } from "./running.ts";

export interface DeparturesDeps extends MigrationDeps {
  readonly running: RunningMigrations;
  readonly actor: (move: ToServe<SourceEvent>) => SourceActor;
}

/** What an operator asks for with `POST /v1/migrations`. */
export interface MoveRequest {
  readonly guest: string;
  readonly to: string;
  readonly options: MigrationOptions;
}

/**
 * Checks a new move with the peer and records it as created; its actor has yet to run. Until then
 * no move exists: a refusal leaves its audit and nothing else.
 *
 * @throws {GatewayError} as `GatewayService.startMigration`
 */
export async function depart(
  deps: DeparturesDeps,
  request: MoveRequest,
): Promise<{ stored: StoredMigration; actor: SourceActor }> {
  const { guests, peers, ledger, site, clock, running } = deps;
  const entry = guests.get(request.guest);
  const link = await peers.link(request.to);
  if (entry.role !== "source") {
    throw new GatewayError(
      "guest_not_source",
      `Cannot move ${request.guest}: it waits here for an incoming move`,
      { hint: "Start the move at the site where the machine runs" },
    );
  }
  requireOwner(ledger.ownership(request.guest), site, `move ${request.guest} from here`);
  running.claim(request.guest);
  try {
    const guest = lazyGuest(
      entry.definition.kind,
      () => guests.machine(request.guest),
      await guests.machine(request.guest),
    );
    await whenUp(link, request.to, clock, () => peers.lastError(request.to));
    const { stored, actor } = await offered(deps, request, { guest, link });
    const createdAt = new Date(clock.wallMs()).toISOString();
    const created = { stored: { ...stored, createdAt }, actor };
    running.add({ side: "source", ...created });
    return created;
  } finally {
    running.release(request.guest);
  }
}

/**
 * Offers the move to the peer and records it; once more where only this site's own ledger was behind.
 * What the peer has accepted and this ledger does not take is taken back.
 */
async function offered(
  { ledger, site, newId, actor: actorOf }: DeparturesDeps,
  request: MoveRequest,
  { guest, link }: Pick<ToServe<SourceEvent>, "guest" | "link">,
) {
  for (let attempt = 0;; attempt++) {
    const epoch = ledger.ownership(request.guest)?.epoch ?? 1;
    const stored = {
      id: newId(),
      guestId: request.guest,
      side: "source" as const,
      peer: request.to,
      options: { ...request.options },
    };
    const actor = actorOf({ stored, guest, link, epoch, events: [] });
    try {
      const stale = await actor.offer();
      if (!stale) {
        ledger.createMigration(stored, { kind: "created", epoch, site } as SourceEvent);
        return { stored, actor };
      }
      if (attempt > 0) {
        throw new GatewayError("offer_stale", `Cannot move ${request.guest}: epochs disagree`, {
          hint: "Compare GET /v1/guests at both sites",
        });
      }
      // This site is the recorded owner there, too: only its own ledger is behind.
      ledger.claim({
        guestId: request.guest,
        epoch: stale.staleEpoch,
        owner: site,
        migrationId: null,
        decidedBy: "registration",
        reason: `${request.to} knows this epoch with ${site} as the owner`,
      });
      actor.withdraw();
    } catch (error) {
      actor.withdraw();
      ledger.audit("preflight_refused", {
        guest: request.guest,
        to: request.to,
        ...toGatewayError(error).toJSON(),
      });
      throw error;
    }
  }
}
