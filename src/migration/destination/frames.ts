import { GatewayError } from "../../core/errors.ts";
import { decodeDiskBatch } from "../../codec/disk_batch.ts";
import { createMemoryDecoder, type MemoryDecoder } from "../../codec/memory_decoder.ts";
import type { DestinationSide, DiskDescription } from "../../guest/guest.ts";
import type { MemoryItem } from "../../guest/memory_items.ts";
import type { PageMemory } from "../../image/page_memory.ts";
import { FRAME_TYPES } from "../../wire/frame_types.ts";
import type { MoveNames } from "./names.ts";

interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
}

/**
 * Applies the frames of a move's memory and disk channels to the machine, in their order.
 *
 * Both throw `GatewayError`: `batch_invalid`, `batch_mismatch`, `image_io`, `frame_invalid`, and what
 * the machine's driver throws.
 */
export class FrameApplier {
  readonly #memoryDecoder: MemoryDecoder;
  /** Data bytes written to disks so far. */
  writtenBytes = 0;

  /**
   * @param disks as the source described them: their order is what batches number them by
   * @param names contents for names; null: none are taken
   */
  constructor(
    private readonly machine: DestinationSide,
    private readonly disks: readonly DiskDescription[],
    pages: PageMemory,
    private readonly names: MoveNames | null = null,
  ) {
    this.#memoryDecoder = createMemoryDecoder(
      (pageBytes) => pages.openImage(pageBytes),
      names?.memory ?? null,
    );
  }

  async memory({ type, payload }: Frame): Promise<void> {
    switch (type) {
      case FRAME_TYPES.memoryBatch:
        return await this.machine.writeMemory(await this.#memoryItems(payload));
      case FRAME_TYPES.memoryReset:
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
        const round = Number(JSON.parse(new TextDecoder().decode(payload)).round);
        if (!Number.isSafeInteger(round) || round < 1) throw unexpectedFrame("disk", type);
        await this.machine.flushDisks();
        return round;
      }
      default:
        throw unexpectedFrame("disk", type);
    }
  }

  /** Memory is complete, or will never be: gives image and pins back. Idempotent. */
  close(): void {
    this.#memoryDecoder.close();
    this.names?.close();
  }

  async #memoryItems(payload: Uint8Array): Promise<MemoryItem[]> {
    const decode = () => this.#memoryDecoder.decode(payload);
    return this.names === null ? decode() : await this.names.memory.complete(decode);
  }

  async #diskBatch(payload: Uint8Array): Promise<void> {
    const named = this.names?.disk ?? null;
    const sizes = this.disks.map(({ sizeBytes }) => sizeBytes);
    const decode = () => decodeDiskBatch(payload, sizes, named);
    const batch = named === null ? decode() : await named.complete(decode);
    const { id } = this.disks[batch.disk];
    let at = 0;
    const writes = batch.extents.map(({ kind, offsetBytes, lengthBytes }) => {
      if (kind === "zero") return this.machine.zeroDisk(id, offsetBytes, lengthBytes);
      const bytes = batch.contents.subarray(at, at += lengthBytes);
      return this.machine.writeDisk(id, offsetBytes, bytes);
    });
    // All must settle before one failure is told: no write may come after the refusal.
    const outcomes = await Promise.allSettled(writes);
    const failed = outcomes.find(({ status }) => status === "rejected");
    if (failed) throw (failed as PromiseRejectedResult).reason;
    this.writtenBytes += batch.contents.byteLength;
  }
}

function unexpectedFrame(channel: string, type: number): GatewayError {
  return new GatewayError("frame_invalid", `Cannot apply a frame of type ${type} on ${channel}`, {
    hint: "Check that both gateways run the same version",
  });
}
