/** Why a packet did not arrive; `burst` is Gilbert-Elliott loss, `loss` independent loss. */
export const DROP_CAUSES = ["queue", "outage", "burst", "loss", "corrupt"] as const;
export type DropCause = typeof DROP_CAUSES[number];

/**
 * What one direction did. Bytes are IP packets, headers included.
 * Always: offered = delivered + the sum of dropped.
 */
export interface LinkCounters {
  offeredPackets: number;
  offeredBytes: number;
  /** Packets that arrive, each once; second copies are counted below. */
  deliveredPackets: number;
  deliveredBytes: number;
  /** Second copies. */
  duplicatedPackets: number;
  duplicatedBytes: number;
  /** What left the bottleneck, lost later or not: everything but the queue's drops. */
  wirePackets: number;
  wireBytes: number;
  droppedPackets: Record<DropCause, number>;
  droppedBytes: Record<DropCause, number>;
  /** The fullest the queue has been. */
  queueBytesMax: number;
}

export function emptyCounters(): LinkCounters {
  return {
    offeredPackets: 0,
    offeredBytes: 0,
    deliveredPackets: 0,
    deliveredBytes: 0,
    duplicatedPackets: 0,
    duplicatedBytes: 0,
    wirePackets: 0,
    wireBytes: 0,
    droppedPackets: { queue: 0, outage: 0, burst: 0, loss: 0, corrupt: 0 },
    droppedBytes: { queue: 0, outage: 0, burst: 0, loss: 0, corrupt: 0 },
    queueBytesMax: 0,
  };
}

/** A copy that later packets do not change. */
export function copyCounters(counters: LinkCounters): LinkCounters {
  return structuredClone(counters);
}
