import { openDiskBatch } from "../../codec/disk_batch.ts";
import { nameExtents } from "../../codec/named_extents.ts";
import type { BatchNames, PageNames } from "../../codec/named_items.ts";
import { inlineSealer, type Sealer } from "../../codec/sealer.ts";
import { BLOCK_BYTES } from "../../image/block_digest.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import { dataBytesOf, type Piece } from "../disk_pieces.ts";
import type { TrafficMeter } from "../traffic.ts";
import { type DiskPlanner, Outgoing } from "./disk_planner.ts";
import { SealedQueue } from "./sealed_queue.ts";

/** Raw bytes of one disk batch: large enough for zstd, short enough (tens of ms) on a slow link. */
export const DISK_BATCH_BYTES = 4 * BLOCK_BYTES;
/** Of the round, where little of it has to cross: what a batch keeps, and what a report waits for. */
const ROUND_BYTES_MAX = 8 * 1024 * 1024;
/** Extents in one batch at most, about. */
const EXTENTS_PER_BATCH_MAX = 4096;

/** What batches of disks are made and sent with. */
export interface DiskBatchDeps {
  readonly planner: DiskPlanner;
  readonly channel: Channel;
  readonly meter: TrafficMeter;
  /** The first round of the move: what the destination has by then was there before. */
  readonly first: boolean;
  /** Contents that the destination may have from elsewhere; null or absent: none. */
  readonly names?: PageNames | null;
  /** Packs the batches; without one this thread does. */
  readonly sealer?: Sealer;
  readonly stop: AbortSignal;
  /** Called for data that needs no more work: it was handed to the link, or need not travel. */
  readonly passed: (disk: number, dataBytes: number) => void;
}

interface Packed {
  readonly out: Outgoing;
  readonly roundBytes: number;
  readonly savedBytes: number;
  readonly named: BatchNames | undefined;
}

/**
 * The batches of one round: what the destination has is left out, the rest is packed while the next
 * one is read and planned, and handed over in order. Blocks of one round are planned once each, so a
 * plan does not depend on batches before it that are still being packed.
 */
export class DiskBatches {
  /** Raw bytes of data extents. */
  sentBytes = 0;
  #out: Outgoing | null = null;
  /** Data of the round that `#out` stands for. */
  #roundBytes = 0;
  readonly #sealer: Sealer;
  readonly #queue: SealedQueue<Packed>;

  constructor(private readonly deps: DiskBatchDeps) {
    this.#sealer = deps.sealer ?? inlineSealer;
    this.#queue = new SealedQueue(
      this.#sealer,
      (payload, _, packed) => this.#send(payload, packed),
      ({ named }) => named?.dropped(),
    );
  }

  /**
   * Adds a piece with its content.
   *
   * @param disk its number
   * @throws why a batch was not handed over
   */
  async add(disk: number, piece: Piece, content: Uint8Array): Promise<void> {
    const out = this.#out;
    const isFull = out !== null && (out.disk !== disk || this.#roundBytes >= ROUND_BYTES_MAX ||
      out.dataBytes + content.byteLength > DISK_BATCH_BYTES ||
      out.extents.length >= EXTENTS_PER_BATCH_MAX);
    if (isFull) await this.#flush();
    this.#out ??= new Outgoing(disk);
    this.#roundBytes += dataBytesOf(piece);
    this.deps.planner.plan(this.#out, piece, content, this.deps.first);
  }

  /** Resolves when the link has taken all of it. @throws as `add` does */
  async end(): Promise<void> {
    await this.#flush();
    await this.#queue.room(1);
  }

  /** The round has failed: nothing of it leaves after this, behind what a later one reads. */
  async abandon(error: unknown): Promise<void> {
    this.#queue.fail(error);
    await this.#queue.idle();
  }

  async #flush(): Promise<void> {
    const out = this.#out;
    if (out === null) return;
    const roundBytes = this.#roundBytes;
    this.#out = null;
    this.#roundBytes = 0;
    const { planner, meter, stop, passed, names = null } = this.deps;
    stop.throwIfAborted();
    this.sentBytes += out.dataBytes;
    if (out.extents.length === 0) {
      // Nothing has to cross, so there is nothing that could fail to.
      planner.commit(out);
      meter.sentDisk(out, 0);
      return passed(out.disk, roundBytes);
    }
    const whole = { extents: out.extents, contents: joined(out.contents, out.dataBytes) };
    const { savedBytes, ...wire } = names === null
      ? { ...whole, savedBytes: 0 }
      : nameExtents(whole.extents, whole.contents, names);
    const named = names?.closeBatch();
    const packed = { out, roundBytes, savedBytes, named };
    this.#queue.put(openDiskBatch({ disk: out.disk, ...wire }), packed);
    // Views into all that was read for it, and the batch has its own copy.
    out.contents.length = 0;
    await this.#queue.room(this.#sealer.ahead);
  }

  async #send(
    payload: Uint8Array,
    { out, roundBytes, savedBytes, named }: Packed,
  ): Promise<void> {
    const { planner, channel, meter, stop, passed } = this.deps;
    // A stopped round sends no more, and its frames that never left must not count as held: between
    // this look, the frame's number (given before `send` returns) and `commit` nothing is awaited.
    if (stop.aborted) named?.dropped();
    stop.throwIfAborted();
    const sent = channel.send(FRAME_TYPES.diskBatch, payload);
    planner.commit(out);
    named?.sent(channel.lastSent);
    meter.sentDisk(out, payload.byteLength, savedBytes);
    passed(out.disk, roundBytes);
    await sent;
  }
}

function joined(parts: readonly Uint8Array[], bytes: number): Uint8Array {
  if (parts.length === 1) return parts[0];
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return all;
}
