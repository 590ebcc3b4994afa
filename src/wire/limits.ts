const KIB = 1024;
const MIB = 1024 * KIB;

/** Longest payload of one frame. */
export const PAYLOAD_BYTES_MAX = MIB;

/** Bytes before the payload of a frame record, see `frame.ts`. */
export const FRAME_HEADER_BYTES = 48;

/** Longest record of any type; a carrier refuses more before it allocates. */
export const RECORD_BYTES_MAX = FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX;

/**
 * Bulk frames (memory, disk) that were sent to one peer and not yet applied, as costs. The receiver
 * holds at most as much, so both ends of a link are bounded by it.
 */
export const UNACKNOWLEDGED_BYTES_MAX = 32 * MIB;

/** The same for each urgent channel, which does not wait for the limit above. */
export const URGENT_BYTES_MAX = 8 * MIB;

/** What a frame counts beyond its payload, so that a flood of empty frames is bounded as well. */
export const FRAME_COST_BYTES = 256;

/**
 * Depth of a bulk channel's queue of unsent frames: the larger of this and `QUEUE_MS` of goodput.
 * What is parked here when a machine pauses is downtime.
 */
export const QUEUE_BYTES_MIN = 512 * KIB;
export const QUEUE_MS = 100;

/**
 * While both wait, one disk frame goes after this much memory, so that disks never starve. It was
 * four times as much: over 20 Mbit/s a round of 2 MB took 9 s then, and was the last to arrive.
 */
export const MEMORY_RUN_BYTES = 512 * KIB;
/**
 * A memory frame counts as at least this much of a run. Frames of changes have 1 KiB: 512 KiB of them
 * take minutes, in which a busy gateway, that has one waiting at each look, sent no disk frame.
 */
export const MEMORY_RUN_FRAME_BYTES_MIN = 32 * KIB;

/** An acknowledgement of bulk frames waits for this many payload bytes, or this long. */
export const ACK_BYTES = 256 * KIB;
export const ACK_DELAY_MS = 20;

export const PING_INTERVAL_MS = 300;

/** A connection is silent when nothing was heard for the larger of these two. */
export const SILENCE_MS_MIN = 1_000;
export const SILENCE_ROUND_TRIPS = 3;

/** A superfluous connection is closed after this long: a silent one, and one that still works. */
export const SILENT_SURPLUS_MS = 1_000;
export const HEALTHY_SURPLUS_MS = 5_000;

/** Migrations open at once with one peer; the first frame of one more is answered by RESET. */
export const MIGRATIONS_MAX = 256;

/** A migration that the peer opened and nobody here claimed is reset after this long. */
export const UNCLAIMED_MS = 30_000;

/** Closed migrations remembered, so that a late frame does not open them again. */
export const CLOSED_MIGRATIONS_KEPT = 1_024;

/** Ranges of frames received ahead of order that one STATE record lists; the rest is sent again. */
export const STATE_RANGES_MAX = 16_384;

/** Earlier incarnations of the peer remembered, so that a late connection of one is refused. */
export const OLD_INCARNATIONS_KEPT = 64;

/** RESET records waiting to be sent; beyond this the oldest is dropped (the peer asks again). */
export const RESETS_QUEUED_MAX = 1_024;

/**
 * The highest priority that has data counts so many times: each lower one that waits gets about a
 * twentieth of the link.
 */
export const UPPER_CLASS_WEIGHT = 19;

/** How far a channel or machine may fall behind its equals and still catch up; forgotten beyond. */
export const SERVICE_LAG_BYTES_MAX = MIB;

/** What a session may be configured with. */
export interface SessionLimits {
  readonly unacknowledgedBytesMax: number;
  readonly payloadBytesMax: number;
  readonly queueBytesMin: number;
}

export const DEFAULT_LIMITS: SessionLimits = {
  unacknowledgedBytesMax: UNACKNOWLEDGED_BYTES_MAX,
  payloadBytesMax: PAYLOAD_BYTES_MAX,
  queueBytesMin: QUEUE_BYTES_MIN,
};

/** Checks configured limits; a window must hold two of the longest frames or nothing would move. */
export function checkLimits(limits: SessionLimits): void {
  const { unacknowledgedBytesMax, payloadBytesMax, queueBytesMin } = limits;
  if (!(payloadBytesMax > 0 && payloadBytesMax <= PAYLOAD_BYTES_MAX)) {
    throw new RangeError(`payloadBytesMax must be 1 to ${PAYLOAD_BYTES_MAX}`);
  }
  const least = 2 * (payloadBytesMax + FRAME_COST_BYTES);
  if (!(unacknowledgedBytesMax >= least && Number.isSafeInteger(unacknowledgedBytesMax))) {
    throw new RangeError(`unacknowledgedBytesMax must be at least ${least}`);
  }
  if (!(queueBytesMin > 0)) throw new RangeError("queueBytesMin must be positive");
}
