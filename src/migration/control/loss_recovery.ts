/** Payload of a packet on an Internet path, about; what counts is their number. */
const PACKET_BYTES = 1_200;
/** From the loss of a packet until its repetition is there, beyond its own time: docs/results.md. */
const ROUND_TRIPS = 1.1;
/**
 * Of the work of a hand-over, the share that is over before the last bytes leave the source: the
 * machine stops and its devices are read.
 */
const SOURCE_WORK_SHARE = 0.5;

/** The last bytes that cross before something can go on. */
export interface LastBytes {
  readonly wireBytes: number;
  readonly bytesPerSecond: number;
  /** At which the link was used before: what is on its way then may be lost as well. */
  readonly sentBeforeBytesPerSecond?: number;
  readonly roundTripMs: number | null;
  /** Of packets, on the way there; null while unknown. */
  readonly lossRatio: number | null;
}

/**
 * How much later than without loss the last byte is there. What lies behind a lost packet waits for
 * its repetition, so the last one that is lost decides: it adds its recovery less the time in which
 * the packets after it cross anyway. From the end, the distance to it is geometric.
 *
 * @param likelihood from 0 to 1: longer than what is returned it takes in so many of all cases; 0.5
 * gives the median. On a long path this is nearly all or nothing, and a mean would never come true.
 */
export function lossRecoveryMs(
  last: LastBytes,
  likelihood = 0.5,
): number {
  const { wireBytes, bytesPerSecond, sentBeforeBytesPerSecond = 0, roundTripMs, lossRatio } = last;
  if (lossRatio === null || lossRatio <= 0 || roundTripMs === null) return 0;
  const packetsAfter = Math.log1p(-likelihood) / Math.log1p(-Math.min(0.99, lossRatio));
  const bytesAfter = packetsAfter * PACKET_BYTES;
  const inside = Math.min(wireBytes, bytesAfter);
  if (bytesAfter > wireBytes && sentBeforeBytesPerSecond <= 0) return 0;
  const afterS = inside / Math.max(1, bytesPerSecond) +
    (bytesAfter - inside) / Math.max(1, sentBeforeBytesPerSecond);
  return Math.max(0, ROUND_TRIPS * roundTripMs - afterS * 1000);
}

/**
 * The same for a pause: pages and blocks leave at once, the device state when the machine has given
 * it away. What was lost before is repeated meanwhile.
 *
 * @param last everything that crosses in the pause
 * @param deviceBytes of it, what leaves last
 * @param workMs of the whole hand-over, at both sites
 */
export function pauseRecoveryMs(
  last: LastBytes,
  deviceBytes: number,
  workMs: number,
  likelihood = 0.5,
): number {
  return Math.max(
    lossRecoveryMs(last, likelihood) - SOURCE_WORK_SHARE * workMs,
    lossRecoveryMs({
      ...last,
      wireBytes: Math.min(deviceBytes, last.wireBytes),
      sentBeforeBytesPerSecond: 0,
    }, likelihood),
  );
}
