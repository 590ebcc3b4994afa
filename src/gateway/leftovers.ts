import { GatewayError } from "../core/errors.ts";
import type { MigrationReport } from "../migration/report.ts";
import { ENDED_STATES } from "../migration/report.ts";
import type { GuestRegistry } from "./guests.ts";

/**
 * Deletes what an ended move left at this site: the source's disk images after a completed one, the
 * partial copies at the destination after a failed one. The only place that deletes a disk, and only
 * when asked.
 *
 * @returns the paths that were deleted
 * @throws {GatewayError} `migration_state` while the move goes on or the machine still uses them
 */
export async function deleteLeftovers(
  report: MigrationReport,
  guests: GuestRegistry,
): Promise<string[]> {
  if (!ENDED_STATES.includes(report.state)) {
    throw new GatewayError(
      "migration_state",
      `Cannot delete leftovers: ${report.id} is ${report.state}`,
      {
        hint: "Wait until the move has ended",
      },
    );
  }
  const owner = report.state === "completed" ? report.to : report.from;
  const site = report.side === "source" ? report.from : report.to;
  if (owner === site) {
    throw new GatewayError(
      "migration_state",
      `Cannot delete leftovers: ${report.guest} lives at ${site}`,
      {
        hint: `Ask the gateway of ${report.side === "source" ? report.to : report.from}`,
      },
    );
  }
  const entry = guests.find(report.guest);
  const runState = await entry?.guest?.runState().catch(() => "gone");
  if (runState === "running" || runState === "paused") {
    throw new GatewayError(
      "migration_state",
      `Cannot delete leftovers: a machine ${report.guest} is ${runState} here and may use them`,
      { hint: `Remove it first: DELETE /v1/guests/${report.guest}?end=true` },
    );
  }
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
