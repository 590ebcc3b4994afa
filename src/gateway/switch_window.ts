import { timestamp } from "../core/clock.ts";
import { GatewayError } from "../core/errors.ts";
import type { SwitchWindow } from "../migration/control/wishes.ts";

/**
 * A window that has closed would hold its move for ever without a word: it is a mistake, most often
 * of the zone or the day.
 *
 * @throws {GatewayError} `request_invalid`
 */
export function requireOpen(window: SwitchWindow | null, wallMs: number): void {
  if (window === null || window.until === null || Date.parse(window.until) > wallMs) return;
  throw new GatewayError(
    "request_invalid",
    `Cannot wait for this window: it closed at ${window.until}`,
    { hint: `It is ${timestamp(wallMs)} now; give a window that ends later, or none` },
  );
}
