import type { Finding, GuestDescription, PreflightOptions } from "../../guest/guest.ts";
import { ask, migrateAnswer } from "../answers.ts";
import { compareCpuModels } from "../cpu_model.ts";
import { describeMachine, readDrives } from "../describe.ts";
import { BITMAP_PREFIX, type Drive } from "../drives.ts";
import { EXPORT_PREFIX, exportIds } from "../exports.ts";
import type { Machine } from "../machine.ts";
import { SETTLED } from "../migration_watch.ts";
import {
  compareMachines,
  driveFindings,
  freePageFindings,
  refusal,
  throttleFindings,
} from "../preflight_rules.ts";
import { QmpCommandError } from "../qmp/client.ts";

/**
 * All findings about a machine that is to leave. Changes nothing in QEMU.
 */
export async function sourceFindings(
  machine: Machine,
  counterpart: GuestDescription,
  { sendFree = false, mayThrottleDisks = false }: PreflightOptions,
): Promise<Finding[]> {
  const [own, drives, migration, exports] = await Promise.all([
    describeMachine(machine),
    readDrives(machine),
    ask(machine, "query-migrate", migrateAnswer),
    exportIds(machine),
  ]);
  const foreign = exports.filter((id) => !id.startsWith(EXPORT_PREFIX));
  return [
    ...(migration["blocked-reasons"] ?? []).map((reason) =>
      refusal(
        "migration_blocked",
        `Cannot move: QEMU says "${reason}"`,
        "Remove the device or option that this reason names",
      )
    ),
    ...(SETTLED.has(migration.status ?? "none") ? [] : [
      refusal(
        "migration_blocked",
        `Cannot move: QEMU is in a migration already (${migration.status})`,
        "Wait for its end, or cancel it with migrate_cancel",
      ),
    ]),
    ...compareMachines(own, counterpart),
    ...compareCpuModels(own.cpuModel, counterpart.cpuModel),
    ...(sendFree ? freePageFindings(own.devices) : []),
    ...(mayThrottleDisks ? throttleFindings(drives) : []),
    ...driveFindings(drives),
    ...(foreign.length === 0 ? [] : [
      refusal(
        "nbd_server_in_use",
        `Cannot move: the machine's NBD server serves ${foreign.join(", ")}`,
        "Delete these exports and stop the server, which QEMU has only one of",
      ),
    ]),
    ...await bitmapFindings(machine, drives.filter((drive) => !drive.readOnly)),
  ];
}

/** Tries each bitmap inside a transaction that always aborts: QEMU undoes it, whatever it says. */
async function bitmapFindings(machine: Machine, drives: readonly Drive[]): Promise<Finding[]> {
  const findings = await Promise.all(drives.map(async (drive) => {
    const data = { node: drive.nodeName, name: `${BITMAP_PREFIX}probe` };
    const actions = [{ type: "block-dirty-bitmap-add", data }, { type: "abort", data: {} }];
    try {
      await machine.execute("transaction", { actions });
    } catch (thrown) {
      if (!(thrown instanceof QmpCommandError)) throw thrown;
      if (/abort action/i.test(thrown.description)) return [];
      return [refusal(
        "bitmap_not_possible",
        `Cannot move: QEMU cannot track writes to disk "${drive.id}": ${thrown.description}`,
        "End the job that uses the disk, or attach it in another way",
      )];
    }
    return [];
  }));
  return findings.flat();
}
