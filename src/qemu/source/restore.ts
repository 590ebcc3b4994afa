import type { Machine } from "../machine.ts";
import { type MigrationWatch, SETTLED } from "../migration_watch.ts";
import type { SourceNotes } from "../notes.ts";
import { deleteExports, EXPORT_PREFIX, exportIds, stopServer } from "../exports.ts";
import { readDrives } from "../describe.ts";
import { applySettings } from "../settings.ts";
import { putBackLimits, removeOwnLimits } from "./disk_throttle.ts";
import { ROUND_BITMAP_PREFIX } from "./disk_tracker.ts";
import { cancelMigration, failed } from "./memory_stream.ts";

/** A migration whose reader died notices at its next write. */
const ORPHAN_TIMEOUT_MS = 3_000;
const RESUME_TIMEOUT_MS = 10_000;

/** Run states in which the driver's own doing holds the machine, not a fault of its own. */
const HELD = new Set(["paused", "postmigrate", "finish-migrate"]);

/**
 * The machine runs on here: undoes everything that a move changed. Works from what QEMU says, with
 * the notes for what it cannot say, so it is the same after a crash and after a failure.
 *
 * The machine comes first: what is left on a disk costs nothing, a paused machine costs its users.
 */
export async function restoreSource(
  machine: Machine,
  watch: MigrationWatch,
  notes: SourceNotes,
): Promise<void> {
  await settleMigration(machine, watch);
  await runAgain(machine, watch, notes.wasRunning);
  await removeThrottle(machine, notes);
  await removeTracking(machine, notes);
  await applySettings(machine, notes.settings);
}

/** The cap on the machine's disks; without notes it is known by its name. */
export async function removeThrottle(machine: Machine, notes: SourceNotes): Promise<void> {
  await putBackLimits(machine, notes.ioLimits);
  await removeOwnLimits(machine);
}

/** Exports, NBD server and round bitmaps; the return bitmap of an earlier arrival stays. */
export async function removeTracking(machine: Machine, notes: SourceNotes): Promise<void> {
  if (notes.nbdServer) await stopServer(machine);
  else {
    const ids = await exportIds(machine);
    await deleteExports(machine, ids.filter((id) => id.startsWith(EXPORT_PREFIX)));
  }
  for (const drive of await readDrives(machine)) {
    for (const { name } of drive.bitmaps) {
      if (!name?.startsWith(ROUND_BITMAP_PREFIX)) continue;
      await machine.execute("block-dirty-bitmap-remove", { node: drive.nodeName, name });
    }
  }
}

/** Design section 3 rule 5: an unread migration is left to fail, one at the gate is cancelled. */
async function settleMigration(machine: Machine, watch: MigrationWatch): Promise<void> {
  const { status } = await watch.migration();
  if (SETTLED.has(status)) return await watch.untilLetGo();
  if (status !== "pre-switchover") {
    // Its socket is gone: in `device` it fails and resumes by itself, and cancelling is refused.
    const ended = new Set([...SETTLED, "pre-switchover"]);
    const answer = await watch.untilMigration(ended, ORPHAN_TIMEOUT_MS);
    if (answer !== null && SETTLED.has(answer.status)) return await watch.untilLetGo();
  }
  await cancelMigration(machine, watch, () => {});
}

async function runAgain(
  machine: Machine,
  watch: MigrationWatch,
  wasRunning: boolean,
): Promise<void> {
  const state = await watch.runState();
  if (state === "running" || !HELD.has(state)) return;
  if (wasRunning) {
    await machine.execute("cont");
    const running = await watch.untilRunState((each) => each === "running", RESUME_TIMEOUT_MS);
    if (running === null) throw failed("the machine did not resume after cont");
  } else if (state === "postmigrate") {
    // Its disks are inactive and nothing but `cont` makes it movable again; `stop` follows at once.
    await Promise.all([machine.execute("cont"), machine.execute("stop")]);
  }
}
