import type { OwnershipRecord } from "../ports.ts";
import { onlyLedger, persistently } from "../persistently.ts";
import type { DestinationActorDeps } from "./deps.ts";
import { insist } from "./insist.ts";

/**
 * Stops the machine that must not run here, however often that takes, then writes down why and shows
 * the conflict. Nothing is deleted.
 *
 * @param ownership of an operator's verdict; none where a machine was found running unrecorded
 */
export async function stopInConflict(
  deps: DestinationActorDeps,
  { epoch, reason }: { readonly epoch: number; readonly reason: string },
  ownership?: Omit<OwnershipRecord, "decidedAt">,
): Promise<void> {
  const { guest, journal, clock, log, id, changed } = deps;
  await insist(deps, "stop the machine", async () => {
    if (await guest.runState() === "running") await guest.source.pause();
  });
  await persistently(
    clock,
    () => journal.write({ kind: "conflicted", epoch, reason }, ownership),
    onlyLedger((error) => log("error", `${id}: ${error.message}`)),
  );
  log("error", `${id}: conflict: ${reason}; the machine is stopped here, nothing is deleted`);
  changed();
}

/**
 * Rule 5: a machine that runs here without an owner record is stopped and reported.
 *
 * @returns whether it was
 */
export async function stopIfUnrecorded(deps: DestinationActorDeps): Promise<boolean> {
  const { guest, epoch, guestId } = deps;
  if (await guest.runState().catch(() => null) !== "running") return false;
  const reason = `${guestId} was found running here without a record that it may`;
  await stopInConflict(deps, { epoch, reason });
  return true;
}
