import { toGatewayError } from "../../core/errors.ts";
import type { GuestDescription } from "../../guest/guest.ts";
import { hostMemory } from "../../host/host_memory.ts";
import type { ToDestination, ToSource } from "../../migration/messages.ts";
import { requireGuestAccepted, requireQuota } from "../../security/accept_rules.ts";
import { examineIncoming, requireAcceptable } from "../incoming_checks.ts";
import type { MigrationDeps } from "../migration_deps.ts";
import { sizesOf, usageOf } from "../peer_usage.ts";
import type { RunningMigrations } from "../running.ts";
import type { Held } from "./held.ts";

type Question = Extract<ToDestination, { type: "plan" }>;

export interface AnswerDeps extends MigrationDeps {
  readonly running: RunningMigrations;
}

/**
 * What this site would find if the peer offered the move now, and what is here already. Looks only:
 * nothing is claimed, recorded or begun, and nothing of it is in the ledger.
 *
 * @param peer its name
 */
export async function answerPlan(
  deps: AnswerDeps,
  peer: string,
  { guest: guestId, epoch, description }: Question,
): Promise<ToSource> {
  const { ledger, running, site } = deps;
  try {
    const acceptance = deps.acceptance(peer);
    const asked = { guest: guestId, peer, site };
    requireGuestAccepted(acceptance, asked);
    requireAcceptable(deps, guestId, epoch + 1);
    // Refuses a machine that a move has; one that begins a moment later is not held up.
    running.claim(guestId);
    running.release(guestId);
    const [{ own, findings }, memory] = await Promise.all([
      examineIncoming(deps, guestId, description),
      hostMemory(),
    ]);
    const arriving = (id: string) => running.arrival(id);
    requireQuota(acceptance, asked, sizesOf(own), usageOf({ ...deps, arriving }, peer));
    return {
      type: "planned",
      description: own,
      findings,
      availableMemoryBytes: memory?.availableBytes ?? null,
      held: await heldHere(deps, guestId, peer, own),
    };
  } catch (thrown) {
    const record = ledger.ownership(guestId);
    return {
      type: "rejected",
      error: toGatewayError(thrown).toJSON(),
      epoch: record?.epoch ?? null,
      owner: record?.owner ?? null,
    };
  }
}

async function heldHere(
  { kept, images, contents, peers }: AnswerDeps,
  guestId: string,
  peer: string,
  own: GuestDescription,
): Promise<Held> {
  const disks = await Promise.all(own.disks.map(async ({ id, allocatedBytes, path }) => ({
    id,
    bytes: allocatedBytes ?? 0,
    isKnown: path !== null && await images.has(path),
  })));
  return {
    memoryBytes: kept.knownBytes(guestId, peer),
    disks,
    storeBytes: contents.bytesFrom(peers.fingerprint(peer)),
  };
}
