/**
 * Frame types of protocol version 1: what the payload of a frame means. The session carries any
 * type; a channel's handler refuses what it does not know. Numbers are never given out twice.
 */
export const FRAME_TYPES = {
  /** UTF-8 JSON of one control message (`src/migration/messages.ts`); `control` channel. */
  control: 1,
  /** A batch of memory items (`src/codec/memory_batch.ts`); `memory` channel. */
  memoryBatch: 16,
  /** Empty. The memory stream starts anew: what follows is another attempt; `memory` channel. */
  memoryReset: 17,
  /**
   * What the destination has of the memory from before (`src/codec/memory_offer.ts`); `memory`
   * channel, towards the source.
   */
  memoryOffer: 18,
  /** What the source may name (`src/codec/store_offer.ts`); `memory` channel, towards the source. */
  storeOffer: 19,
  /** A batch of disk extents (`src/codec/disk_batch.ts`); `disk` channel. */
  diskBatch: 32,
  /** JSON `{ round }`: every extent of that round went before; `disk` channel. */
  diskRoundEnd: 33,
  /** What the destination's disks hold (`src/codec/disk_offer.ts`), towards the source; `disk`. */
  diskOffer: 34,
  /** The destination asks for contents (`src/codec/need_frames.ts`); `pageRequest` channel. */
  pageRequest: 48,
  /** The answer to one page request; `pageRequest` channel. */
  pageResponse: 49,
  /** Reserved: bytes of QEMU's return path; `returnPath` channel. */
  returnPath: 64,
} as const;

export type FrameTypeName = keyof typeof FRAME_TYPES;

const NAMES = new Map<number, FrameTypeName>(
  Object.entries(FRAME_TYPES).map(([name, type]) => [type, name as FrameTypeName]),
);

/** The registered name of a frame type, for logs and errors; undefined when it has none. */
export function frameTypeName(type: number): FrameTypeName | undefined {
  return NAMES.get(type);
}
