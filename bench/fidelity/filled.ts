/** What meets the packets of a test. */
export interface Bottleneck {
  readonly packetBytes: number;
  readonly rateBitsPerSecond: number;
  readonly queueBytes: number;
  /** What comes before this time is not counted. */
  readonly fromMs: number;
}

/**
 * Share of the time in which a link of this rate and queue would have had something to send, for
 * packets that reach it at these times, ms. A program offers its packets in bursts: where the pauses
 * between them are longer than the queue, no link carries its rate, however much is offered.
 */
export function filledShare(
  atMs: readonly number[],
  { packetBytes, rateBitsPerSecond, queueBytes, fromMs }: Bottleneck,
): number {
  const bytesPerMs = rateBitsPerSecond / 8000;
  let [freeAtMs, idleMs, lastMs] = [fromMs, 0, fromMs];
  for (const nowMs of atMs) {
    const waitingBytes = Math.max(0, freeAtMs - nowMs) * bytesPerMs;
    if (waitingBytes + packetBytes > queueBytes) continue;
    if (nowMs > fromMs && nowMs > freeAtMs) idleMs += nowMs - Math.max(fromMs, freeAtMs);
    freeAtMs = Math.max(freeAtMs, nowMs) + packetBytes / bytesPerMs;
    lastMs = Math.max(lastMs, nowMs);
  }
  return lastMs > fromMs ? 1 - idleMs / (lastMs - fromMs) : 1;
}
