import { GatewayError } from "../core/errors.ts";
import type { OwnershipRecord } from "../migration/ports.ts";

/**
 * Refuses to take a machine for one that runs at `site` when the ledger says that it lives elsewhere:
 * registering it here again would start its old disks beside the machine that runs at the peer
 * (design, rule 1).
 *
 * @param record the one with the highest epoch; null for a machine never seen
 * @param action what is refused, as in "Cannot register vm1"
 * @throws {GatewayError} `guest_lives_elsewhere`
 */
export function requireOwner(
  record: OwnershipRecord | null,
  site: string,
  action: string,
): void {
  if (record === null || record.owner === site) return;
  const where = record.owner === null
    ? "at the site that wanted to move it here"
    : `at ${record.owner}`;
  throw new GatewayError(
    "guest_lives_elsewhere",
    `Cannot ${action}: by epoch ${record.epoch} of the ledger it lives ${where} (${record.reason})`,
    {
      hint:
        'Register it here with role "incoming" and move it here, or use another id for another ' +
        "machine",
    },
  );
}
