import { type Extent, splitExtents, totalBytes } from "../../core/extents.ts";
import type { DiskRound } from "../../guest/guest.ts";
import { encodeDiskBatch } from "../../codec/disk_batch.ts";
import { nameExtents } from "../../codec/named_extents.ts";
import type { PageNames } from "../../codec/named_items.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { TrafficMeter } from "../traffic.ts";

/** Raw bytes of one disk batch: large enough for zstd, short enough (tens of ms) on a slow link. */
export const DISK_BATCH_BYTES = 256 * 1024;
/** Batches read ahead of the one that is being sent: hides the LAN's round trip. */
const READ_AHEAD = 4;
/** Extents in one batch at most; a scattered round has many small ones. */
const EXTENTS_PER_BATCH_MAX = 4096;

export interface DiskProgress {
  /** Called after each batch was handed to the link. */
  sent(diskId: string, extents: readonly Extent[]): void;
}

interface Batch {
  readonly disk: number;
  readonly diskId: string;
  readonly extents: Extent[];
  readonly contents: Promise<Uint8Array>;
}

/**
 * Sends one round of all disks: reads ahead, encodes and hands over in order. Back-pressure comes
 * from `channel.send`; what is read ahead is bounded by `READ_AHEAD` batches.
 *
 * @param diskIndex number of a disk in the offer, which is its name on the wire
 * @param names contents that the destination may have already; they are told of each batch
 * @returns raw bytes of data extents sent
 */
export async function sendDiskRound(
  rounds: readonly DiskRound[],
  diskIndex: (diskId: string) => number,
  channel: Pick<Channel, "send">,
  meter: TrafficMeter,
  progress: DiskProgress,
  stop: AbortSignal,
  names: PageNames | null = null,
): Promise<number> {
  let rawBytes = 0;
  const ahead: Batch[] = [];
  const batches = batchesOf(rounds, diskIndex);
  for (;;) {
    while (ahead.length < READ_AHEAD) {
      const next = batches.next();
      if (next.done) break;
      // A failed read is reported when its turn comes; until then it must not count as unhandled.
      next.value.contents.catch(() => {});
      ahead.push(next.value);
    }
    const batch = ahead.shift();
    if (!batch) return rawBytes;
    const contents = await batch.contents;
    stop.throwIfAborted();
    const named = names && nameExtents(batch.extents, contents, names);
    const { extents, savedBytes } = named ?? { extents: batch.extents, savedBytes: 0 };
    const payload = encodeDiskBatch({
      disk: batch.disk,
      extents,
      contents: named?.contents ?? contents,
    });
    names?.closeBatch();
    const dataBytes = contents.byteLength;
    meter.sent(dataBytes - savedBytes, payload.byteLength);
    meter.named(savedBytes);
    meter.saved.hole += totalBytes(batch.extents, "zero");
    rawBytes += dataBytes;
    await channel.send(FRAME_TYPES.diskBatch, payload);
    progress.sent(batch.diskId, batch.extents);
  }
}

function* batchesOf(
  rounds: readonly DiskRound[],
  diskIndex: (diskId: string) => number,
): Generator<Batch> {
  for (const round of rounds) {
    let extents: Extent[] = [];
    let bytes = 0;
    const batch = (): Batch => ({
      disk: diskIndex(round.diskId),
      diskId: round.diskId,
      extents,
      contents: readAll(round, extents, bytes),
    });
    for (const extent of splitExtents(round.extents, DISK_BATCH_BYTES)) {
      const dataBytes = extent.kind === "data" ? extent.lengthBytes : 0;
      if (
        extents.length > 0 &&
        (bytes + dataBytes > DISK_BATCH_BYTES || extents.length >= EXTENTS_PER_BATCH_MAX)
      ) {
        yield batch();
        extents = [];
        bytes = 0;
      }
      extents.push(extent);
      bytes += dataBytes;
    }
    if (extents.length > 0) yield batch();
  }
}

async function readAll(round: DiskRound, extents: Extent[], bytes: number): Promise<Uint8Array> {
  const contents = new Uint8Array(bytes);
  let at = 0;
  const reads: Promise<void>[] = [];
  for (const { kind, offsetBytes, lengthBytes } of extents) {
    if (kind !== "data") continue;
    reads.push(round.read(offsetBytes, contents.subarray(at, at + lengthBytes)));
    at += lengthBytes;
  }
  await Promise.all(reads);
  return contents;
}
