/** How long and how often is measured. */
export interface FidelityOptions {
  readonly seed: number;
  /** Of each rate; the first 3 s and the last one do not count. */
  readonly seconds: number;
  readonly lossPackets: number;
  readonly pings: number;
}

/** Loss is counted below the link's rate, so that its queue drops nothing. */
const RATE_SHARE = 0.75;
/** As many as 90 of them fill the buffer of a socket: a reader may be away for 40 ms. */
const PACKETS_PER_SECOND_MAX = 2_000;
const PACKET_BYTES_MIN = 100;
const PACKET_BYTES_MAX = 1_400;

/** The size of IP packets by which many of them do not take for ever on a slow link, and the pace. */
export function paceFor(
  rateBitsPerSecond: number,
): { readonly packetBytes: number; readonly packetsPerSecond: number } {
  const bytesPerSecond = rateBitsPerSecond * RATE_SHARE / 8;
  const wished = Math.round(bytesPerSecond / PACKETS_PER_SECOND_MAX);
  const packetBytes = Math.min(PACKET_BYTES_MAX, Math.max(PACKET_BYTES_MIN, wished));
  return {
    packetBytes,
    packetsPerSecond: Math.min(PACKETS_PER_SECOND_MAX, bytesPerSecond / packetBytes),
  };
}
