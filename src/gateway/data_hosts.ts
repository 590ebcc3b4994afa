import { GatewayError } from "../core/errors.ts";
import type { GuestDefinition } from "../guest/definition.ts";

/**
 * Refuses a machine whose `data` host the site's configuration does not list: the gateway would
 * listen there for memory and disks, so its operator has to have said that it may.
 *
 * @param allowed `dataHosts` of the configuration
 * @throws {GatewayError} `data_host_not_allowed`, before anything is connected or opened
 */
export function requireDataHost(definition: GuestDefinition, allowed: readonly string[]): void {
  if (!("qmp" in definition) || definition.data === undefined) return;
  if (allowed.includes(definition.data)) return;
  throw new GatewayError(
    "data_host_not_allowed",
    `Cannot use data host ${definition.data}: dataHosts of this site's configuration does not ` +
      `list it (listed: ${allowed.join(", ") || "none"})`,
    { hint: "Add it to dataHosts and restart the gateway, or leave data out for a local QEMU" },
  );
}
