import type { Clock } from "../../core/clock.ts";
import type { GatewayError } from "../../core/errors.ts";
import { persistently } from "../persistently.ts";

type Log = (level: "info" | "warn" | "error", message: string) => void;

/**
 * Does something to a machine until it has worked, or until the machine is gone, which leaves
 * nothing to do it to. For steps that a recorded decision demands: start, stop, end.
 *
 * @param action as in "cannot <action> yet"
 * @param failed hears of each try that failed while the machine may live
 */
export async function insist(
  { clock, log, id }: { readonly clock: Clock; readonly log: Log; readonly id: string },
  action: string,
  act: () => Promise<void>,
  failed: (error: GatewayError) => void = () => {},
): Promise<void> {
  const tell = (error: GatewayError) =>
    log(
      error.code === "guest_gone" ? "warn" : "error",
      `${id}: cannot ${action}: ${error.message}`,
    );
  await persistently(clock, act, (error) => {
    if (error.code === "guest_gone") throw error;
    failed(error);
    tell(error);
  }).catch(tell);
}
