import type { Clock } from "../core/clock.ts";
import { GatewayError, toGatewayError } from "../core/errors.ts";

/** Between two tries of something that has to succeed: from prompt to unobtrusive. */
export const RETRY_MS_MIN = 100;
export const RETRY_MS_MAX = 5_000;

/**
 * Repeats `act` with growing pauses until it succeeds.
 *
 * @param failed hears of each failure; what it throws ends the repetition
 */
export async function persistently<T>(
  clock: Clock,
  act: () => T | Promise<T>,
  failed: (error: GatewayError) => void,
): Promise<T> {
  for (let waitMs = RETRY_MS_MIN;; waitMs = Math.min(RETRY_MS_MAX, waitMs * 2)) {
    try {
      return await act();
    } catch (error) {
      failed(toGatewayError(error));
      await clock.sleep(waitMs);
    }
  }
}

/** For `persistently`: only a ledger that cannot be written is worth another try. */
export function onlyLedger(tell: (error: GatewayError) => void): (error: GatewayError) => void {
  return (error) => {
    if (error.code !== "ledger_write_failed") throw error;
    tell(error);
  };
}
