import { GatewayError } from "../core/errors.ts";

/**
 * Checks what `throttleDisks` is asked for.
 *
 * @throws {RangeError} for a cap below 1 byte a second; null is none
 */
export function checkDiskCap(bytesPerSecond: number | null): void {
  if (bytesPerSecond === null || bytesPerSecond >= 1) return;
  throw new RangeError(`the cap of the disks is ${bytesPerSecond}`);
}

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
