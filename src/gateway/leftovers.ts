import { GatewayError } from "../core/errors.ts";
import type { MigrationReport } from "../migration/report.ts";
import { ENDED_STATES } from "../migration/report.ts";
import type { GuestRegistry } from "./guests.ts";

/** What tells whether images are still needed. */
export interface LeftoversDeps {
  readonly guests: Pick<GuestRegistry, "find">;
  readonly ownership: (guestId: string) => { readonly owner: string | null } | null;
  readonly movingGuest: (guestId: string) => string | null;
  /** Throws for a path that the site's configuration does not allow: a machine may say anything. */
  readonly requirePath: (path: string) => Promise<void>;
}

/**
 * Deletes what an ended move left at this site: the source's disk images after a completed one, the
 * partial copies at the destination after a failed one. The only place that deletes a disk, and only
 * when asked.
 *
 * @returns the paths that were deleted
 * @throws {GatewayError} `migration_state` while the move goes on or the machine still uses them,
 *   `guest_not_allowed` where one of them lies elsewhere than images may; nothing was deleted then
 */
export async function deleteLeftovers(
  report: MigrationReport,
  { guests, ownership, movingGuest, requirePath }: LeftoversDeps,
): Promise<string[]> {
  if (!ENDED_STATES.includes(report.state)) {
    throw refused(`${report.id} is ${report.state}`, "Wait until the move has ended");
  }
  const moving = movingGuest(report.guest);
  if (moving !== null) {
    throw refused(`${report.guest} is moving again and may use them`, `Await migration ${moving}`);
  }
  const owner = report.state === "completed" ? report.to : report.from;
  const site = report.side === "source" ? report.from : report.to;
  if (owner === site) {
    const other = report.side === "source" ? report.to : report.from;
    throw refused(`${report.guest} lives at ${site}`, `Ask the gateway of ${other}`);
  }
  // A later move may have brought it here, onto the same images: they are the last good copy then,
  // even while the machine is off.
  if (ownership(report.guest)?.owner === site) {
    throw refused(
      `${report.guest} lives at ${site} again since, and may use them`,
      "Delete by hand what it does not use",
    );
  }
  const entry = guests.find(report.guest);
  const runState = await entry?.guest?.runState().catch(() => "unreachable") ?? "gone";
  // One that waits for a move has them open as well: what arrives would go into deleted files.
  if (runState !== "gone" && runState !== "postmigrate") {
    throw refused(
      `a machine ${report.guest} is ${runState} here and may use them`,
      `Remove it first: DELETE /v1/guests/${report.guest}?end=true`,
    );
  }
  for (const path of report.leftovers) await requirePath(path);
  if (runState === "postmigrate") await entry?.guest?.end();
  const deleted: string[] = [];
  for (const path of report.leftovers) {
    try {
      await Deno.remove(path);
      deleted.push(path);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return deleted;
}

function refused(reason: string, hint: string): GatewayError {
  return new GatewayError("migration_state", `Cannot delete leftovers: ${reason}`, { hint });
}
