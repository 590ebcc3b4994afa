/** Bandwidth that a held machine without dirty pages gets; 10 passes a second instead of 25,700. */
export const IDLE_BYTES_PER_SECOND = 64 * 1024;
/** What is dirty should leave within this time, one of QEMU's own windows. */
const DRAIN_MS = 100;

export interface HoldInput {
  readonly remainingBytes: number;
  /** The caller's bound, from `setBandwidth`. */
  readonly boundBytesPerSecond: number;
}

/**
 * The `max-bandwidth` of a machine that is held at the switchover.
 *
 * QEMU looks for dirty pages again as soon as it has sent them all, at full speed without end. Just
 * enough bandwidth to send what is dirty in `DRAIN_MS` makes it wait for its rate limit instead; the
 * more there is, the nearer this comes to the bound. QEMU's own dirty rate is no help: a page that
 * is hot counts once a pass, so the rate grows with the passes that a higher bandwidth makes (seen:
 * 2, 11, then 22 MB/s for one and the same workload).
 */
export function holdBandwidth(input: HoldInput): number {
  const wanted = input.remainingBytes * 1000 / DRAIN_MS;
  return Math.max(
    Math.min(IDLE_BYTES_PER_SECOND, input.boundBytesPerSecond),
    Math.min(input.boundBytesPerSecond, Math.ceil(wanted)),
  );
}

/** A change that is worth a command: QEMU's window is coarser than a few percent. */
export function differsEnough(current: number, wanted: number): boolean {
  return wanted > current * 1.25 || wanted < current * 0.8;
}
