import { z } from "zod";
import { GatewayError, toGatewayError } from "../../core/errors.ts";
import { decodeDiskBatch } from "../../codec/disk_batch.ts";
import { createMemoryDecoder, type MemoryDecoder } from "../../codec/memory_decoder.ts";
import type { Layout } from "../../codec/memory_layout.ts";
import type { Clock } from "../../core/clock.ts";
import type { DestinationSide, DiskDescription } from "../../guest/guest.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import type { PageMemory } from "../../image/page_memory.ts";
import type { Channel } from "../../link/peer_link.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { KeptAfter, KeptMemory } from "../kept_images.ts";
import { decodeReset } from "../memory_reset.ts";
import { decodeMessage } from "../messages.ts";
import { MemoryOffer } from "./memory_offer.ts";
import type { MoveNames } from "./names.ts";
import type { Repairs } from "./repairs.ts";
import type { HeldBlocks } from "./held_blocks.ts";

/** Payload of `diskRoundEnd`. */
const roundEnd = z.object({ round: z.number().int().positive() });

interface Frame {
  readonly type: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** What the applier keeps of the machine's memory, while the move lasts and afterwards. */
export interface ApplierMemory {
  readonly pages: PageMemory;
  readonly kept: KeptMemory;
  /** The source takes an offer of what earlier moves have left here. */
  readonly takesOffer: boolean;
}

/**
 * Applies the frames of a move's memory and disk channels to the machine, in their order.
 *
 * Both throw `GatewayError`: `batch_invalid`, `batch_mismatch`, `image_io`, `frame_invalid`, and what
 * the machine's driver throws.
 */
export class FrameApplier {
  readonly #memoryDecoder: MemoryDecoder;
  readonly #kept: KeptMemory;
  readonly #offer: MemoryOffer | null;
  /** Layout of the memory that is offered. */
  readonly offered: Layout | null;
  /** Data bytes written to disks so far. */
  writtenBytes = 0;

  /**
   * @param disks as the source described them: their order is what batches number them by
   * @param held follows what the disks hold
   * @param names contents for names; null: none are taken
   */
  constructor(
    private readonly machine: DestinationSide,
    private readonly disks: readonly DiskDescription[],
    private readonly held: HeldBlocks,
    { pages, kept, takesOffer }: ApplierMemory,
    private readonly repairs: Repairs,
    private readonly names: MoveNames | null = null,
  ) {
    this.#kept = kept;
    const warm = takesOffer ? kept.take() : null;
    this.offered = warm?.layout ?? null;
    this.#memoryDecoder = createMemoryDecoder(
      (pageBytes) => pages.openImage(pageBytes),
      warm,
      names?.memory ?? null,
    );
    this.#offer = warm && new MemoryOffer(warm);
  }

  /** Sends the source an offer of what is here from before, if anything is. */
  async offer(channel: Channel, clock: Pick<Clock, "sleep">): Promise<void> {
    await this.#offer?.send(channel, clock);
  }

  async memory({ type, sequence, payload }: Frame): Promise<void> {
    // Until then pages of the offer are not what they are said to be.
    if (this.#offer?.isMade === false) throw unexpectedFrame("memory", type);
    switch (type) {
      case FRAME_TYPES.memoryBatch:
        if (!this.repairs.isVoid) await this.#memoryBatch(sequence, payload);
        return;
      case FRAME_TYPES.memoryReset:
        this.repairs.streamBegins(decodeReset(payload));
        return await this.machine.resetMemory();
      default:
        throw unexpectedFrame("memory", type);
    }
  }

  /** @returns the number of the disk round that ended with this frame and is flushed, or null */
  async disk({ type, payload }: Frame): Promise<number | null> {
    switch (type) {
      case FRAME_TYPES.diskBatch:
        await this.#diskBatch(payload);
        return null;
      case FRAME_TYPES.diskRoundEnd: {
        const { round } = decodeMessage(roundEnd, payload);
        await this.machine.flushDisks();
        return round;
      }
      default:
        throw unexpectedFrame("disk", type);
    }
  }

  /** The move ends: what is asked of the source is not waited for any more. Idempotent. */
  stopAsking(): void {
    this.names?.close();
  }

  /**
   * Memory is complete, or will never be. What is known of it stays for the next move, and what the
   * store has pinned for it may go. Idempotent.
   *
   * @param after null: nothing stays
   */
  letGoOfMemory(after: KeptAfter | null): void {
    this.stopAsking();
    this.#offer?.withdraw();
    const known = this.#memoryDecoder.release();
    if (known === null) return;
    if (after === null) known.image.close();
    else this.#kept.keep(known, after);
  }

  /** A batch that comes out wrong has changed nothing, and what follows it may build on it. */
  async #memoryBatch(sequence: number, payload: Uint8Array): Promise<void> {
    const decode = () => this.#memoryDecoder.decode(payload);
    let items: MemoryItem[];
    try {
      items = this.names === null ? decode() : await this.names.memory.complete(decode);
    } catch (error) {
      const { code } = toGatewayError(error);
      if (code === "image_io") this.#kept.noRoom();
      if (!(error instanceof GatewayError) || code !== "batch_mismatch") throw error;
      return await this.repairs.request(sequence, error);
    }
    await this.machine.writeMemory(items);
  }

  async #diskBatch(payload: Uint8Array): Promise<void> {
    const named = this.names?.disk ?? null;
    const sizes = this.disks.map(({ sizeBytes }) => sizeBytes);
    const decode = () => decodeDiskBatch(payload, sizes, named);
    const batch = named === null ? decode() : await named.complete(decode);
    const { id } = this.disks[batch.disk];
    this.held.writing(batch);
    let at = 0;
    const writes = batch.extents.map(({ kind, offsetBytes, lengthBytes }) => {
      if (kind === "zero") return this.machine.zeroDisk(id, offsetBytes, lengthBytes);
      const bytes = batch.contents.subarray(at, at += lengthBytes);
      return this.machine.writeDisk(id, offsetBytes, bytes);
    });
    // Their digests are computed while they are on their way.
    const written = this.held.written(batch);
    // All must settle before one failure is told: no write may come after the refusal.
    const outcomes = await Promise.allSettled(writes);
    const failed = outcomes.find(({ status }) => status === "rejected");
    if (failed) throw (failed as PromiseRejectedResult).reason;
    written();
    this.writtenBytes += batch.contents.byteLength;
  }
}

function unexpectedFrame(channel: string, type: number): GatewayError {
  return new GatewayError("frame_invalid", `Cannot apply a frame of type ${type} on ${channel}`, {
    hint: "Check that both gateways run the same version",
  });
}
