import { GatewayError } from "../core/errors.ts";

/** Most of its processor time that can be taken away from a machine (QEMU's own bound). */
export const CPU_THROTTLE_SHARE_MAX = 0.99;

/**
 * Checks what `throttleCpu` is asked for.
 *
 * @throws {GatewayError} `throttle_not_possible` where the move may not do it
 * @throws {RangeError} for a share that is none
 */
export function checkCpuThrottle(share: number, mayThrottleCpu: boolean): void {
  if (!(share >= 0 && share <= CPU_THROTTLE_SHARE_MAX)) {
    throw new RangeError(`the share of processor time is ${share}`);
  }
  if (mayThrottleCpu) return;
  throw new GatewayError(
    "throttle_not_possible",
    "Cannot throttle the machine's processors: this move has no leave to",
    { hint: "Start a move that may: it has to be said before its memory is copied" },
  );
}
