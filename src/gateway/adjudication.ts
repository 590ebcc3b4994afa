import { GatewayError } from "../core/errors.ts";
import type { MigrationReport } from "../migration/report.ts";

/**
 * Whether an operator may decide who runs the machine of this move.
 *
 * @param canAsk the destination can be asked, so that the doubt would end by itself
 * @throws {GatewayError} `request_invalid` for an owner that is neither site, `migration_state`
 *   while the destination can be asked, unless it is forced
 */
export function requireAdjudicable(
  { id, guest, from, to }: MigrationReport,
  { owner, force }: { readonly owner: string; readonly force: boolean },
  canAsk: boolean,
): void {
  if (owner !== from && owner !== to) {
    throw new GatewayError("request_invalid", `Cannot give ${guest} to ${owner}`, {
      hint: `owner must be ${from} or ${to}`,
    });
  }
  if (force || !canAsk) return;
  throw new GatewayError("migration_state", `Cannot adjudicate ${id}: ${to} can be asked`, {
    hint: "The doubt ends by itself while the link is up; send force to decide all the same",
  });
}
