/** How long and how often is measured. */
export interface FidelityOptions {
  readonly seed: number;
  /** Of each rate; the first 3 s and the last one do not count. */
  readonly seconds: number;
  readonly lossPackets: number;
  readonly pings: number;
}

/** Loss is counted below the link's rate, so that its queue drops nothing. */
export const QUEUE_SHARE = 0.75;

/** More a second are the computer's business. */
const PACKETS_PER_SECOND_MAX = 8_000;
const PACKET_BYTES_MIN = 100;
const PACKET_BYTES_MAX = 1_400;

/** The size of IP packets by which many of them do not take for ever on a slow link. */
export function packetBytesFor(rateBitsPerSecond: number): number {
  const bytes = Math.round(rateBitsPerSecond * QUEUE_SHARE / 8 / PACKETS_PER_SECOND_MAX);
  return Math.min(PACKET_BYTES_MAX, Math.max(PACKET_BYTES_MIN, bytes));
}
